"""Running a script on the primary of a shard, and believing only a primary's answer.

What is sent twice, and when: after a refusal that says that nothing was done (NOSCRIPT, MOVED, READONLY and the
like) everything; after a broken connection only what reads. A write whose answer was lost raises `StoreUnavailable`.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Final

from redis.crc import key_slot
from redis.exceptions import RedisError, ResponseError

from ...arguments import UNSTORABLE
from ...errors import Rejected, StoreUnavailable
from ..refusals import Refusals
from .node import Command, Node
from .records import Reply
from .topology import Topology
from .urls import Address, Target

OPERATION_TIMEOUT: Final = 3.0
"""Seconds for one operation, whatever it takes: connecting, finding the primary, asking again."""
_EXCHANGE_TIMEOUT: Final = 2.0
"""Seconds for one exchange with one server, so that there is time left to ask another."""
_ACKNOWLEDGED_WITHIN: Final = 1000
"""Milliseconds in which the replicas that were asked for must have acknowledged a write."""
_ATTEMPTS: Final = 6
_PAUSE: Final = 0.02
"""Seconds before the third attempt; twice as many before each next one."""
_SLOTS: Final = 16384

Argument = str | bytes | int


class Effect(Enum):
    """What a script does, which decides what a failure means."""

    READ = "read"
    WRITE = "write"
    LASTING = "lasting"
    """A write that must not be lost: with ``replicas`` in the URL, as many must have acknowledged it."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, known to servers by its hash."""

    text: str
    digest: str


@cache
def script(name: str) -> Script:
    """The script lua/<name>.lua, with lua/common.lua before it."""
    lua = files("coatcheck.stores").joinpath("lua")
    text = "\n".join(lua.joinpath(f"{part}.lua").read_text("utf-8") for part in ("common", name))
    # Redis names scripts by their SHA-1; nothing is proved by it.
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Shard:
    """One hash slot with everything of the subjects that fall to it."""

    number: int
    meta: str
    """The key of its hash; every other key begins like it."""
    slot: int


def shards(prefix: str, count: int) -> tuple[Shard, ...]:
    """The shards of a store, spread evenly over the slots of a cluster, wherever they may lie."""
    made = []
    for number in range(count):
        first, last = number * _SLOTS // count, (number + 1) * _SLOTS // count
        tags = (f"{number}.{lot}" for lot in itertools.count())
        tag = next(tag for tag in tags if first <= key_slot(tag.encode()) < last)
        meta = f"{prefix}:{{{tag}}}:m"
        made.append(Shard(number, meta, key_slot(meta.encode())))
    return tuple(made)


NO_WRITES: Final = frozenset({"OOM", "MISCONF", "NOREPLICAS"})
"""Refusals of writes by a server that answers what is read: its memory or its disk is full, its replicas are gone."""


class NotPrimary(Exception):
    """The server answered as a replica."""


@dataclass(frozen=True, slots=True)
class _Try:
    """How to ask: with the script's whole text, and where another node has pointed."""

    whole: bool = False
    at: Address | None = None


class Scripts:
    """Runs scripts on shards."""

    def __init__(self, target: Target, topology: Topology) -> None:
        self.shards: tuple[Shard, ...] = shards(target.prefix, target.shards)
        self.channel: str = f"{target.prefix}:wake"
        self.fenced: int = int(target.replicas > 0)
        """Whether a read of the feed counts only on a primary that may write; for lua/events.lua."""
        self._replicas = target.replicas
        self._topology = topology
        self.refusals: Refusals = Refusals()

    async def run(
        self, name: str, shard: Shard, *arguments: Argument, now: str, kind: Effect, whole: bool = False
    ) -> Reply:
        """Run a script; ``whole``: with its text, though the server may know it. Raises `StoreUnavailable` when it was
        not surely done, and `Rejected` for text that is not Unicode."""
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT):
                return await self._attempts(script(name), shard, arguments, now, kind, _Try(whole=whole))
        except TimeoutError as error:
            raise StoreUnavailable("Redis did not answer in time") from error
        except UnicodeEncodeError as error:  # half a surrogate pair among the arguments: nothing was sent
            raise Rejected(UNSTORABLE) from error

    async def run_on_all(self, name: str, arguments: Sequence[Sequence[Argument]], *, now: str) -> list[Reply]:
        """Run a script that reads on every shard, with arguments for each: one exchange per server."""
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT):
                return await self._everywhere(script(name), arguments, now)
        except TimeoutError as error:
            raise StoreUnavailable("Redis did not answer in time") from error

    async def why_no_writes(self) -> str:
        """Why one of the servers takes no writes now, by the smallest; empty when all do."""
        of_each = {(await self._topology.primary(shard.slot)).address: shard for shard in self.shards}
        for shard in of_each.values():
            refused = await self.run("probe", shard, now="0", kind=Effect.WRITE)
            if refused:
                return f"Redis refused: {refused.decode('utf-8', 'replace').partition(' ')[0]}"
        return ""

    async def _everywhere(self, code: Script, arguments: Sequence[Sequence[Argument]], now: str) -> list[Reply]:
        groups: dict[Node, list[Shard]] = {}
        for shard in self.shards:
            groups.setdefault(await self._topology.primary(shard.slot), []).append(shard)
        work = [self._together(code, node, group, arguments, now) for node, group in groups.items()]
        parts = [await work[0]] if len(work) == 1 else await asyncio.gather(*work, return_exceptions=True)
        replies: dict[int, Reply] = {}
        for part in parts:
            if isinstance(part, BaseException):
                raise part
            replies |= part
        return [replies[shard.number] for shard in self.shards]

    async def _together(
        self, code: Script, node: Node, group: list[Shard], arguments: Sequence[Sequence[Argument]], now: str
    ) -> dict[int, Reply]:
        calls = [self._call(code, shard, arguments[shard.number], now, whole=False) for shard in group]
        try:
            replies: list[Reply] = await self._exchange(node, calls, wait=False)
        except (RedisError, OSError, NotPrimary):
            await self._failed(node)
            replies = [None] * len(group)
        found: dict[int, Reply] = {}
        for shard, reply in zip(group, replies, strict=True):
            if reply is None or isinstance(reply, ResponseError):
                reply = await self._attempts(code, shard, arguments[shard.number], now, Effect.READ, _Try())
            found[shard.number] = reply
        return found

    async def _attempts(
        self, code: Script, shard: Shard, arguments: Sequence[Argument], now: str, kind: Effect, next_try: _Try
    ) -> Reply:
        wait = kind is Effect.LASTING and self._replicas > 0
        failed = False
        for attempt in range(_ATTEMPTS):
            if attempt > 1:
                await asyncio.sleep(_PAUSE * 2 ** (attempt - 2))
            this, next_try = next_try, _Try()
            at = this.at
            node = await self._topology.primary(shard.slot) if at is None else self._topology.at(at)
            call = self._call(code, shard, arguments, now, whole=this.whole)
            try:
                (reply,) = await self._exchange(node, [call], wait=wait)
            except (RedisError, OSError, NotPrimary) as error:
                await self._failed(node)
                if kind is not Effect.READ or failed:
                    raise StoreUnavailable(f"Redis failed: {type(error).__name__}") from error
                failed = True
                continue
            if not isinstance(reply, ResponseError):
                return reply
            next_try = self._after(reply, node, this)
        raise StoreUnavailable("Redis has no primary for this shard now")

    def _after(self, refusal: ResponseError, node: Node, this: _Try) -> _Try:
        """How to go on after a refusal that says that nothing was done. Raises `StoreUnavailable` for any other."""
        match _code(refusal):
            case "NOSCRIPT":
                return _Try(whole=True, at=this.at)
            case "MOVED":
                self._topology.doubt(node)
                return _Try(whole=this.whole, at=_pointer(refusal, node))
            case "ASK":
                # Half of the shard may be there and half here, a session without its subject's epoch, say. Never ask
                # there: wait until the slot has moved as a whole.
                return _Try(whole=this.whole)
            case "READONLY" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN":
                self._topology.doubt(node)
                return _Try(whole=this.whole)
            case code:
                if code in NO_WRITES:
                    self.refusals.note(f"Redis refused: {code}")
                raise StoreUnavailable(f"Redis refused: {code}") from refusal

    def _call(self, code: Script, shard: Shard, arguments: Sequence[Argument], now: str, *, whole: bool) -> Command:
        head: Command = ("EVAL", code.text) if whole else ("EVALSHA", code.digest)
        lot = secrets.randbits(63)
        common = (1, shard.meta, now, secrets.token_hex(16), lot, len(self.shards), self.channel)
        return (*head, *common, *arguments)

    async def _exchange(self, node: Node, calls: list[Command], *, wait: bool) -> list[Reply]:
        """The replies to these calls. Where a server does not refuse what is not its own, it is asked for its role
        just before: what it answers then holds whatever was committed when the exchange began. (Not in a transaction
        with it: a server without memory takes none.)"""
        before: list[Command] = [] if self._topology.says_moved else [("ROLE",)]
        after: list[Command] = [("WAIT", self._replicas, _ACKNOWLEDGED_WITHIN)] if wait else []
        async with asyncio.timeout(_EXCHANGE_TIMEOUT):
            replies = await node.exchange([*before, *calls, *after])
        found = replies[len(before) : len(before) + len(calls)]
        if not self._topology.says_moved:
            _check_primary(replies[0], found)
        if wait and not isinstance(found[0], ResponseError):
            self._acknowledged(replies[-1])
        return found

    def _acknowledged(self, reply: Reply) -> None:
        if isinstance(reply, ResponseError):
            raise StoreUnavailable(f"Redis refused to wait for replicas: {_code(reply)}") from reply
        if reply < self._replicas:
            raise StoreUnavailable(f"{reply} of {self._replicas} replicas have acknowledged the write in time")

    async def _failed(self, node: Node) -> None:
        self._topology.doubt(node)
        await node.drop_idle()


def _check_primary(role: Reply, found: list[Reply]) -> None:
    """Raises `NotPrimary` unless a primary answered, or refused everything anyway."""
    if isinstance(role, ResponseError):
        raise role
    if role[0] != b"master" and not all(isinstance(reply, ResponseError) for reply in found):
        raise NotPrimary("the server is not the primary")


def _code(error: ResponseError) -> str:
    """The first word of a refusal, which says what kind it is and holds nothing of ours."""
    return error.status_code or str(error).partition(" ")[0] or "ERR"


def _pointer(error: ResponseError, node: Node) -> Address:
    """Where MOVED points; an empty host means the one that said it."""
    host, _, port = str(error).split(" ")[-1].rpartition(":")
    return host or node.address[0], int(port)
