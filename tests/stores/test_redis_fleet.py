"""Several Redis servers: failovers by Sentinel and Cluster, a slot on its way, replicas that must acknowledge, TLS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.stores.base import FeedLost
from coatcheck.stores.redis import RedisStore
from coatcheck.stores.redis.scripts import shards
from coatcheck.testing.store_contract.support import events_after, here, logged_in, new_subject
from tests.stores.redis_support import opened, until_it_works, with_prefix
from tests.support.patience import FOR_EVER, in_time
from tests.support.servers import Cluster, Redis, redis, redis_cluster, sentinel
from tests.support.servers.clocks import server_clock


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Tests that kill a node leave it running again."""
    with redis_cluster() as cluster:
        yield cluster


def shard_key(url: str, subject: str) -> str:
    """The key of the hash of the subject's shard."""
    prefix = url.partition("prefix=")[2]
    store = RedisStore(url)
    return next(shard.meta for shard in shards(prefix, 16) if shard.number == store._of(subject).number)


async def test_a_sentinel_failover_loses_nothing_that_a_replica_acknowledged() -> None:
    """The primary is killed; the store finds its successor, with the session, the revocation and the cursor."""
    with sentinel() as fleet:
        async with opened(f"{fleet.url()}?replicas=1") as sure, opened(fleet.url()) as store:
            kept, ended = await logged_in(sure), await logged_in(sure)
            cursor = await here(sure)
            assert await sure.revoke(ended.id, now=ended.created) is not None
            killed = fleet.primary()
            killed.kill()
            with pytest.raises(StoreUnavailable):
                await store.find(kept.id, now=kept.created)
            await asyncio.to_thread(fleet.wait_for_failover, killed)
            found = await until_it_works(lambda: store.find(kept.id, now=kept.created))
            assert found is not None
            assert found.session == kept
            assert await store.find(ended.id, now=ended.created) is None
            events = await until_it_works(lambda: events_after(store, cursor))
            assert [event.session_id for event in events] == [ended.id]
            assert await store.revoke(kept.id, now=kept.created) is not None
            await until_it_works(lambda: sure.standing_of(kept.subject))
            with pytest.raises(StoreUnavailable, match="0 of 1"):
                await sure.revoke_subject(kept.subject, now=kept.created)


async def test_a_reader_is_woken_after_a_sentinel_failover() -> None:
    """The listener goes to the new primary by itself."""
    with sentinel() as fleet:
        async with opened(fleet.url()) as store:
            killed = fleet.primary()
            killed.kill()
            await asyncio.to_thread(fleet.wait_for_failover, killed)
            cursor = (await until_it_works(lambda: store.events(None, wait=0))).cursor
            async with in_time():
                while not store._wake.listening.is_set():
                    await asyncio.sleep(0.02)
            reading = asyncio.create_task(store.events(cursor, wait=FOR_EVER))
            await store.announce_keys(now=1.0)
            async with in_time():
                assert len((await reading).events) == 1


@pytest.mark.parametrize("how", ["killed", "asked"])
async def test_a_cluster_failover(cluster: Cluster, how: str) -> None:
    """A primary dies, or hands over in good order: what was acknowledged is there, and the store goes on by itself."""
    url = with_prefix(cluster.url())
    subject = new_subject()
    owner = cluster.owner(shard_key(url, subject))
    (successor,) = cluster.replicas_of(owner)
    async with opened(f"{url}&replicas=1") as sure, opened(url) as store:
        kept, ended = await logged_in(sure, subject), await logged_in(sure, subject)
        cursor = await here(store)
        assert await sure.revoke(ended.id, now=ended.created) is not None
        if how == "killed":
            owner.kill()
            with pytest.raises(StoreUnavailable):
                await store.find(kept.id, now=kept.created)
            await asyncio.to_thread(cluster.wait_for_failover, owner)
        else:
            successor.cli("CLUSTER", "FAILOVER")
        try:
            found = await until_it_works(lambda: store.find(kept.id, now=kept.created))
            assert found is not None
            assert found.session == kept
            assert await store.find(ended.id, now=ended.created) is None
            events = await until_it_works(lambda: events_after(store, cursor))
            assert [event.session_id for event in events] == [ended.id]
            assert await until_it_works(lambda: store.revoke_subject(subject, now=kept.created)) >= 1
            assert await store.find(kept.id, now=kept.created) is None
        finally:
            if how == "killed":
                await asyncio.to_thread(owner.start)
            await asyncio.to_thread(cluster.wait_until_ok)
            await asyncio.to_thread(cluster.wait_for_replicas)


async def test_a_slot_on_its_way_is_unavailable_and_never_half_believed(cluster: Cluster) -> None:
    """While a shard moves, its session without its subject's epoch is not taken for live; afterwards all goes on."""
    url = with_prefix(cluster.url())
    subject = new_subject()
    meta = shard_key(url, subject)
    source = cluster.owner(meta)
    target = next(node for node in cluster.primaries() if node is not source)
    slot = source.cli("CLUSTER", "KEYSLOT", meta)
    ids = {node: node.cli("CLUSTER", "MYID") for node in (source, target)}
    async with opened(url) as store:
        session = await logged_in(store, subject)
        await store.revoke_subject(subject, now=session.created)
        target.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        keys = source.cli("CLUSTER", "GETKEYSINSLOT", slot, "100").splitlines()
        for key in sorted(keys, key=lambda key: ":u:" in key):
            if ":u:" in key:
                for call in (
                    store.find(session.id, now=session.created),
                    store.rotate(session.id, 0, window=30, now=session.created),
                    store.events(None, wait=0),
                ):
                    with pytest.raises(StoreUnavailable):
                        await call
            source.cli("MIGRATE", "127.0.0.1", str(target.port), key, "0", "5000")
        for node in (target, source, *(one for one in cluster.primaries() if one not in (source, target))):
            node.cli("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        assert await until_it_works(lambda: store.find(session.id, now=session.created)) is None
        epoch, version = await until_it_works(lambda: store.standing_of(subject))
        assert epoch > 0
        assert version == 0
        await logged_in(store, subject, epoch=epoch)


async def test_an_evicting_node_of_a_cluster_is_refused(cluster: Cluster) -> None:
    """One replica is enough: it may be the next primary."""
    await asyncio.to_thread(cluster.wait_for_replicas)  # one that is taken for failed is not asked
    (replica, *_) = cluster.replicas_of(cluster.primaries()[1])
    replica.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    try:
        with pytest.raises(ConfigurationError, match="allkeys-random"):
            async with opened(cluster.url()):
                pass
    finally:
        replica.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")


async def test_a_node_of_a_cluster_is_no_single_server(cluster: Cluster) -> None:
    """The URL is told to be of the wrong kind."""
    with pytest.raises(ConfigurationError, match="redis\\+cluster"):
        async with opened(cluster.nodes[0].url()):
            pass


async def test_a_write_that_no_replica_acknowledged_is_not_done() -> None:
    """With replicas=1 and the replica paused, each write that must not be lost raises; reads and touches go on."""
    with redis() as server, redis(replica_of=server) as replica:
        async with opened(server.url()) as store:
            session = await logged_in(store)
        await asyncio.to_thread(_wait_for_link, replica)
        async with opened(f"{server.url()}?replicas=1") as sure:
            other = await logged_in(sure)
            replica.pause()
            try:
                outcomes = await asyncio.gather(
                    sure.revoke(session.id, now=session.created),
                    sure.revoke_subject(new_subject(), now=session.created),
                    sure.step_version(new_subject(), now=session.created),
                    sure.revoke_token(other.id, "jti", now=session.created),
                    sure.rotate(other.id, 0, window=30, now=session.created),
                    logged_in(sure),
                    return_exceptions=True,
                )
                assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 6
                assert await sure.find(other.id, now=session.created) is not None
            finally:
                replica.resume()


async def test_a_primary_that_has_lost_its_replicas_is_no_longer_read() -> None:
    """With replicas=1 and min-replicas-to-write, the feed of a primary that others may have replaced proves nothing."""
    with redis() as server, redis(replica_of=server) as replica:
        await asyncio.to_thread(_wait_for_link, replica)
        async with opened(f"{server.url()}?replicas=1") as store:
            server.cli("CONFIG", "SET", "min-replicas-to-write", "1", "min-replicas-max-lag", "1")
            cursor = (await until_it_works(lambda: store.events(None, wait=0))).cursor
            replica.pause()
            try:
                async with in_time():
                    refusal = await _first_refusal(store, cursor)
                assert "NOREPLICAS" in str(refusal)
            finally:
                replica.resume()
            assert (await until_it_works(lambda: store.events(cursor, wait=0))).cursor == cursor


async def _first_refusal(store: RedisStore, cursor: str) -> StoreUnavailable:
    while True:
        try:
            await store.events(cursor, wait=0.05)
        except StoreUnavailable as error:
            return error


def _wait_for_link(replica: Redis) -> None:
    while replica.info("replication", "master_link_status") != "up":
        pass


async def test_a_promoted_replica_that_was_empty_is_another_feed() -> None:
    """Everybody is logged out, nobody is let in."""
    with redis() as server, redis() as empty:
        async with opened(server.url()) as store:
            session = await logged_in(store)
            cursor = await here(store)
            server.cli("REPLICAOF", "127.0.0.1", str(empty.port))
            await asyncio.to_thread(_wait_for_link, server)
            server.cli("REPLICAOF", "NO", "ONE")
            assert await store.find(session.id, now=session.created) is None
            with pytest.raises(FeedLost):
                await store.events(cursor, wait=0)


async def test_tls_is_checked() -> None:
    """With the right authority it works, without it or under another name nothing is sent."""
    with redis(tls=True) as server:
        assert server.certificates is not None
        authority = f"ca_file={server.certificates.authority}"
        async with opened(f"{server.url()}?{authority}") as store:
            session = await logged_in(store)
            assert await store.revoke(session.id, now=session.created) is not None
        with pytest.raises(ConfigurationError, match="certificate"):
            async with opened(server.url()):
                pass
        with pytest.raises((ConfigurationError, StoreUnavailable)):
            async with opened(f"redis://127.0.0.1:{server.port}"):
                pass


def test_after_a_time_that_was_ahead_nodes_miss_nobody_until_they_start_again() -> None:
    """Docs say to start the nodes of a cluster again, once their clocks are right: no replica takes over before."""
    with server_clock() as clock, redis_cluster(clock=clock) as cluster:
        clock.set(3600)
        usual = _lose(cluster)
        clock.set(0)
        victim = cluster.primaries()[0]
        victim.kill()
        with pytest.raises(AssertionError, match="a replica takes over"):
            cluster.wait_for_failover(victim, patience=2 * usual)
        cluster.start_again()
        cluster.wait_until_ok()
        cluster.wait_for_replicas()
        _lose(cluster)


def _lose(cluster: Cluster) -> float:
    """A primary ends, a replica takes over, and it comes back. The seconds until one has."""
    victim = cluster.primaries()[0]
    victim.kill()
    began = time.monotonic()
    cluster.wait_for_failover(victim)
    lasted = time.monotonic() - began
    victim.start()
    cluster.wait_until_ok()
    cluster.wait_for_replicas()
    return lasted
