"""Redis on several nodes: Cluster, and a primary with its replica under Sentinel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from .clocks import ServerClock
from .processes import PATIENCE, eventually, free_port, own_directory
from .redis_single import _DURABLE, Redis, field, redis

_SLOTS: Final = 16384


class Cluster:
    """A Redis Cluster. ``nodes`` are all its servers, running or not, in the order they were made."""

    def __init__(self, nodes: Sequence[Redis], timeout: float) -> None:
        self.nodes = nodes
        self.timeout = timeout
        """Seconds after which a silent node counts as failed."""

    def url(self, *, user: str = "", password: str = "") -> str:
        """``redis+cluster://`` with every node of it."""
        who = f"{user}:{password}@" if user or password else ""
        return f"redis+cluster://{who}{','.join(f'127.0.0.1:{node.announced}' for node in self.nodes)}"

    def primaries(self) -> list[Redis]:
        """The nodes that own slots now, in the order of their slots."""
        found = sorted((first, port) for port, ranges in self._owners().items() for first, _ in ranges[:1])
        return [self._node(port) for _, port in found]

    def replicas_of(self, primary: Redis) -> list[Redis]:
        """The running replicas of a primary."""
        return [
            node
            for node in self.nodes
            if node.is_running and node is not primary and _primary_port(node) in (primary.port, primary.announced)
        ]

    def owner(self, key: str) -> Redis:
        """The primary that holds this key."""
        slot = int(self._any().cli("CLUSTER", "KEYSLOT", key))
        for port, ranges in self._owners().items():
            if any(first <= slot <= last for first, last in ranges):
                return self._node(port)
        raise AssertionError(f"nobody owns slot {slot}")

    def wait_for_failover(self, killed: Redis, patience: float = PATIENCE) -> Redis:
        """Until another node owns what the killed (or paused) one did, and every running node knows. Its successor."""
        slots = self._slots_before[killed.port]

        def successor() -> Redis | None:
            for port, ranges in self._owners(apart_from=killed).items():
                if port != killed.port and slots in ranges:
                    return self._node(port)
            return None

        found = eventually(successor, what="a replica takes over", patience=patience)
        self.wait_until_ok(apart_from=killed)
        return found

    def wait_until_ok(self, *, apart_from: Redis | None = None) -> None:
        """Until every running node says that the cluster is whole and replicas have caught up."""
        for node in self.nodes:
            if node.is_running and node is not apart_from:
                eventually(lambda node=node: _is_ok(node), what="cluster_state is ok")  # type: ignore[misc]
        self._remember()

    def wait_for_replicas(self) -> None:
        """Until every node that owns nothing follows a primary and has its data, and every node tells clients of it:
        a replica is named only once its position in the primary's stream is known and not zero."""
        primaries = self.primaries()
        running = [node for node in self.nodes if node.is_running]
        replicas = [node for node in running if node not in primaries]
        for node in replicas:
            eventually(lambda node=node: _follows(node), what="the replica follows")  # type: ignore[misc]
        for node in running:
            eventually(lambda node=node: _names(node, replicas), what="the node names every replica")  # type: ignore[misc]

    def start_again(self) -> None:
        """Every node, at once. Nodes watch each other by the time of day: after one that was ahead they miss nobody."""
        for node in self.nodes:
            node.kill()
        for node in self.nodes:
            node.start()

    def _remember(self) -> None:
        self._slots_before = {port: ranges[0] for port, ranges in self._owners().items()}

    def _any(self, apart_from: Redis | None = None) -> Redis:
        return next(node for node in self.nodes if node.is_running and node is not apart_from)

    def _node(self, port: int) -> Redis:
        return next(node for node in self.nodes if port in (node.port, node.announced))

    def _owners(self, apart_from: Redis | None = None) -> dict[int, list[tuple[int, int]]]:
        """Port to ranges of slots, as a running node sees it."""
        found: dict[int, list[tuple[int, int]]] = {}
        for line in self._any(apart_from).cli("CLUSTER", "NODES").splitlines():
            words = line.split()
            ranges = [word for word in words[8:] if not word.startswith("[")]
            if "master" in words[2] and ranges:
                port = self._node(int(words[1].partition("@")[0].rpartition(":")[2])).port
                found[port] = [
                    (int(first), int(last or first)) for first, _, last in (r.partition("-") for r in ranges)
                ]
        return found


@contextmanager
def redis_cluster(
    *,
    primaries: int = 3,
    replicas: int = 1,
    timeout: float = 1.0,
    durable: bool = False,
    options: Mapping[str, str] | None = None,
    users: Sequence[str] = (),
    announce: Callable[[int], int] | None = None,
    clock: ServerClock | None = None,
) -> Iterator[Cluster]:
    """A Redis Cluster, formed and whole. ``timeout`` is ``cluster-node-timeout`` in seconds: a failover takes about
    twice that. ``replicas`` is per primary. ``announce`` gives the port at which clients and replicas are told to reach
    the node that listens on the given one: that of a proxy. ``clock``: the time of day of all nodes."""
    with ExitStack() as stack:
        nodes: list[Redis] = []
        for _ in range(primaries * (1 + replicas)):
            directory = stack.enter_context(own_directory("redis"))
            settings = (_DURABLE if durable else {}) | {
                "cluster-enabled": "yes",
                "cluster-port": str(free_port()),
                "cluster-node-timeout": str(int(timeout * 1000)),
                "cluster-replica-validity-factor": "0",
                "repl-ping-replica-period": "1",  # a replica is named once it has been pinged
            }
            node = Redis(directory, settings | dict(options or {}), users, announce=announce, clock=clock)
            stack.callback(node.kill)
            node.start()
            nodes.append(node)
        _form(nodes, primaries)
        cluster = Cluster(nodes, timeout)
        cluster.wait_until_ok()
        cluster.wait_for_replicas()
        yield cluster


def _form(nodes: Sequence[Redis], primaries: int) -> None:
    """By hand: ``redis-cli --cluster create`` sleeps a second at a time."""
    ids = [node.cli("CLUSTER", "MYID") for node in nodes]
    for number, node in enumerate(nodes[:primaries]):
        first, last = number * _SLOTS // primaries, (number + 1) * _SLOTS // primaries - 1
        node.cli("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
    for number, node in enumerate(nodes):
        node.cli("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
    for one in nodes:
        for other in nodes:
            if one is not other:
                one.cli("CLUSTER", "MEET", "127.0.0.1", str(other.port), other.options["cluster-port"])
    for number, node in enumerate(nodes[primaries:]):
        primary = ids[number % primaries]
        eventually(lambda node=node, id=primary: _knows(node, id), what="the nodes have met")  # type: ignore[misc]
        node.cli("CLUSTER", "REPLICATE", primary)


def _primary_port(node: Redis) -> int:
    return int(node.info("replication", "master_port") or 0)


def _knows(node: Redis, node_id: str) -> bool:
    return any(
        line.startswith(node_id) and "handshake" not in line for line in node.cli("CLUSTER", "NODES").splitlines()
    )


def _is_ok(node: Redis) -> bool:
    return field(node.cli("CLUSTER", "INFO"), "cluster_state") == "ok"


def _follows(node: Redis) -> bool:
    return node.info("replication", "role") == "slave" and node.info("replication", "master_link_status") == "up"


def _names(node: Redis, replicas: Sequence[Redis]) -> bool:
    said = set(node.cli("CLUSTER", "SLOTS").split())
    return all(str(replica.announced) in said for replica in replicas)


class Sentinels:
    """One primary, one replica, and the sentinels that watch them under the name ``name``."""

    def __init__(self, name: str, servers: Sequence[Redis], sentinels: Sequence[Redis]) -> None:
        self.name = name
        self.servers = servers
        self.sentinels = sentinels

    def url(self, *, user: str = "", password: str = "") -> str:
        """``redis+sentinel://sentinel,sentinel,sentinel/name``."""
        who = f"{user}:{password}@" if user or password else ""
        return f"redis+sentinel://{who}{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/{self.name}"

    def primary(self) -> Redis:
        """The primary, as a sentinel sees it."""
        running = next(one for one in self.sentinels if one.is_running)
        port = running.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name).split()[1]
        return next(server for server in self.servers if server.port == int(port))

    def wait_for_failover(self, killed: Redis) -> Redis:
        """Until the other one is the primary for every sentinel. The new primary."""

        def done() -> Redis | None:
            ports = {
                one.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name).split()[1]
                for one in self.sentinels
                if one.is_running
            }
            found = [server for server in self.servers if ports == {str(server.port)} and server is not killed]
            return found[0] if found and found[0].info("replication", "role") == "master" else None

        return eventually(done, what="the sentinels promote the replica")


@contextmanager
def sentinel(*, name: str = "coats", down_after: float = 0.5, durable: bool = False) -> Iterator[Sentinels]:
    """A primary, a replica and three sentinels. ``down_after``: seconds of silence after which it counts as down."""
    with ExitStack() as stack:
        primary = stack.enter_context(redis(durable=durable))
        replica = stack.enter_context(redis(durable=durable, replica_of=primary))
        eventually(lambda: _follows(replica), what="the replica follows")
        watchers: list[Redis] = []
        for _ in range(3):
            watch = {
                "sentinel monitor": f"{name} 127.0.0.1 {primary.port} 2",
                "sentinel down-after-milliseconds": f"{name} {int(down_after * 1000)}",
                "sentinel failover-timeout": f"{name} 2000",
            }
            watcher = Redis(stack.enter_context(own_directory("sentinel")), watch, is_sentinel=True)
            stack.callback(watcher.kill)
            watcher.start()
            watchers.append(watcher)
        found = Sentinels(name, [primary, replica], watchers)
        for watcher in watchers:
            eventually(lambda one=watcher: _sees_all(one, name), what="the sentinels have met")  # type: ignore[misc]
        yield found


def _sees_all(watcher: Redis, name: str) -> bool:
    line = next((line for line in watcher.cli("INFO", "sentinel").splitlines() if f"name={name}," in line), "")
    return "status=ok" in line and "slaves=1" in line and "sentinels=3" in line
