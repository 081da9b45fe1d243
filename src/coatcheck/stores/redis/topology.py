"""Which server to ask: the only one, the one that the sentinels name, or the one that owns a slot of a cluster.

A topology is what we believe. Proof comes with each answer: a cluster's node answers MOVED for a slot that it does not
own, and elsewhere the role is read in the same transaction (`scripts`). `doubt` makes the next question ask anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from redis.exceptions import RedisError, ResponseError

from ...errors import StoreUnavailable
from .node import Node
from .records import Reply
from .urls import Address, Login, Target

_ASK_TIMEOUT: Final = 0.6
"""Seconds that one sentinel or node has for saying who is the primary, so that several fit into an operation."""


class Topology(Protocol):
    """Finds the primary."""

    says_moved: bool
    """Whether a server refuses what is not its own, so that its role need not be asked."""

    async def primary(self, slot: int) -> Node:
        """The primary for a slot. Raises `StoreUnavailable` when nobody knows."""

    def doubt(self, node: Node) -> None:
        """This node did not answer, or is not the primary."""

    def at(self, address: Address) -> Node:
        """The node with this address, to which another one has pointed."""

    async def any_node(self) -> Node:
        """A node at which messages published anywhere arrive; another one after each failure."""

    async def primaries(self) -> Sequence[Node]:
        """Every node that holds data of ours."""

    async def replicas(self) -> Sequence[Node]:
        """Every node that is known to stand ready to become a primary."""

    async def close(self) -> None:
        """Close every connection."""


class _Nodes:
    """The nodes that were met so far."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._known: dict[Address, Node] = {}

    def at(self, address: Address) -> Node:
        """The node with this address."""
        if address not in self._known:
            self._known[address] = self._make(address, self._target.login, self._target.database)
        return self._known[address]

    async def close(self) -> None:
        """Close every connection."""
        for node in self._known.values():
            await node.close()

    def _make(self, address: Address, login: Login, database: int) -> Node:
        target = self._target
        return Node(address, login, database=database, tls=target.tls, connections=target.connections)


class Single(_Nodes):
    """One server."""

    says_moved = False

    async def primary(self, slot: int) -> Node:
        """See `Topology.primary`."""
        return self.at(self._target.addresses[0])

    def doubt(self, node: Node) -> None:
        """There is no other."""

    async def any_node(self) -> Node:
        """See `Topology.any_node`."""
        return await self.primary(0)

    async def primaries(self) -> Sequence[Node]:
        """See `Topology.primaries`."""
        return [await self.primary(0)]

    async def replicas(self) -> Sequence[Node]:
        """See `Topology.replicas`. None are known."""
        return []


class Sentinel(_Nodes):
    """The primary that the sentinels name."""

    says_moved = False

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._watchers = [self._make(address, target.sentinel_login, 0) for address in target.addresses]
        self._primary: Node | None = None
        self._asking = asyncio.Lock()

    async def primary(self, slot: int) -> Node:
        """See `Topology.primary`."""
        if self._primary is None:
            async with self._asking:
                if self._primary is None:
                    host, port = await self._ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._target.service)
                    self._primary = self.at((host.decode(), int(port)))
        return self._primary

    def doubt(self, node: Node) -> None:
        """See `Topology.doubt`."""
        if self._primary is node:
            self._primary = None

    async def any_node(self) -> Node:
        """See `Topology.any_node`."""
        return await self.primary(0)

    async def primaries(self) -> Sequence[Node]:
        """See `Topology.primaries`."""
        return [await self.primary(0)]

    async def replicas(self) -> Sequence[Node]:
        """See `Topology.replicas`."""
        rows = await self._ask("SENTINEL", "REPLICAS", self._target.service)
        facts = [dict(zip(row[::2], row[1::2], strict=True)) for row in rows]
        return [self.at((fact[b"ip"].decode(), int(fact[b"port"]))) for fact in facts]

    async def close(self) -> None:
        """See `Topology.close`."""
        for watcher in self._watchers:
            await watcher.close()
        await super().close()

    async def _ask(self, *command: str) -> list[Reply]:
        errors: list[Exception] = []
        for watcher in list(self._watchers):
            try:
                async with asyncio.timeout(_ASK_TIMEOUT):
                    (reply,) = await watcher.exchange([command])
            except (RedisError, OSError) as error:  # TimeoutError is an OSError
                errors.append(error)
                continue
            if isinstance(reply, list):
                # This one is asked first from now on.
                self._watchers.remove(watcher)
                self._watchers.insert(0, watcher)
                return reply
            if isinstance(reply, ResponseError):
                errors.append(reply)
        raise StoreUnavailable("no sentinel names a primary") from (errors[-1] if errors else None)


class Cluster(_Nodes):
    """The nodes of a Redis Cluster."""

    says_moved = True

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._ranges: list[tuple[int, int, Node]] = []
        self._replicas: list[Node] = []
        self._asking = asyncio.Lock()
        self._avoid: set[Address] = set()
        self._turn = 0

    async def primary(self, slot: int) -> Node:
        """See `Topology.primary`."""
        owner = self._owner(slot)
        if owner is None:
            await self._learn()
            owner = self._owner(slot)
        if owner is None:
            raise StoreUnavailable("no node of the cluster serves one of the store's slots")
        return owner

    def doubt(self, node: Node) -> None:
        """See `Topology.doubt`."""
        self._ranges = []
        self._avoid.add(node.address)

    async def any_node(self) -> Node:
        """See `Topology.any_node`."""
        nodes = await self.primaries()
        self._turn += 1
        return nodes[self._turn % len(nodes)]

    async def primaries(self) -> Sequence[Node]:
        """See `Topology.primaries`."""
        await self.primary(0)
        return list(dict.fromkeys(node for _, _, node in self._ranges))

    async def replicas(self) -> Sequence[Node]:
        """See `Topology.replicas`."""
        await self.primary(0)
        return self._replicas

    def _owner(self, slot: int) -> Node | None:
        return next((node for first, last, node in self._ranges if first <= slot <= last), None)

    async def _learn(self) -> None:
        async with self._asking:
            if not self._ranges:
                self._ranges = await self._ask()
                self._avoid.clear()

    async def _ask(self) -> list[tuple[int, int, Node]]:
        errors: list[Exception] = []
        for address in self._in_order():
            try:
                async with asyncio.timeout(_ASK_TIMEOUT):
                    (reply,) = await self.at(address).exchange([("CLUSTER", "SLOTS")])
            except (RedisError, OSError) as error:  # TimeoutError is an OSError
                errors.append(error)
                continue
            if isinstance(reply, list) and reply:
                self._replicas = [self._at(item, address) for range_ in reply for item in range_[3:]]
                return [(first, last, self._at(item, address)) for first, last, item, *_ in reply]
            if isinstance(reply, ResponseError):
                errors.append(reply)
        raise StoreUnavailable("no node of the cluster answers") from (errors[-1] if errors else None)

    def _in_order(self) -> Iterable[Address]:
        """Every address known; those that did not answer last."""
        known = list(dict.fromkeys([*self._known, *self._target.addresses]))
        return sorted(known, key=lambda address: address in self._avoid)

    def _at(self, item: Reply, asked: Address) -> Node:
        """The node of a host and a port; an unknown host is the one that was asked."""
        host, port, *_ = item
        return self.at((asked[0] if host in (None, b"", b"?") else host.decode(), port))


def topology(target: Target) -> Topology:
    """The topology of a target."""
    if target.kind == "single":
        return Single(target)
    return Sentinel(target) if target.kind == "sentinel" else Cluster(target)
