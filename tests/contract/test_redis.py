"""The Redis store does what every store must, on one server with the documented least-privilege user, and on a real
cluster of three primaries with replicas. Every test has a prefix of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
import redis.asyncio as asyncio_redis
from redis.asyncio import RedisCluster

from coatcheck.stores.redis import RedisStore
from coatcheck.testing.store_contract import KeyContract, SessionContract
from tests.contract.rewind import KeyRewinder
from tests.support.redis_users import QUOTED, USER, rules
from tests.support.servers import Cluster, Redis, redis, redis_cluster


@pytest.fixture(scope="session")
def server() -> Iterator[Redis]:
    """One server per worker process."""
    with redis(users=[rules("t:*")]) as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One cluster per worker process."""
    with redis_cluster(users=[rules("t:*")]) as cluster:
        yield cluster


class _OnRedis(SessionContract, KeyContract):
    """Two stores with connections of their own. An operation is one script, so `Atomic` is the interleaver."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest_asyncio.fixture
    async def store(self, url: str) -> AsyncIterator[RedisStore]:
        store = RedisStore(url)
        await store.open()
        yield store
        await store.close()

    @pytest_asyncio.fixture
    async def second(self, url: str, store: RedisStore) -> AsyncIterator[RedisStore]:
        second = RedisStore(url)
        await second.open()
        yield second
        await second.close()

    @pytest_asyncio.fixture
    async def rewinder(self, url: str, admin_url: str) -> AsyncIterator[KeyRewinder]:
        kind = RedisCluster if "+cluster" in admin_url else asyncio_redis.Redis
        client = kind.from_url(admin_url.replace("+cluster", "").partition(",")[0])
        yield KeyRewinder(client, parse_qs(urlsplit(url).query)["prefix"][0])
        await client.aclose()


class TestRedis(_OnRedis):
    """One server, one shard."""

    @pytest.fixture
    def url(self, server: Redis) -> str:
        return f"{server.url(user=USER, password=QUOTED)}?prefix=t:{secrets.token_hex(6)}"

    @pytest.fixture
    def admin_url(self, server: Redis) -> str:
        return server.url()


class TestRedisShards(_OnRedis):
    """One server, several shards."""

    @pytest.fixture
    def url(self, server: Redis) -> str:
        return f"{server.url(user=USER, password=QUOTED)}?prefix=t:{secrets.token_hex(6)}&shards=5"

    @pytest.fixture
    def admin_url(self, server: Redis) -> str:
        return server.url()


class TestRedisCluster(_OnRedis):
    """Three primaries, three replicas, sixteen shards."""

    @pytest.fixture
    def url(self, cluster: Cluster) -> str:
        return f"{cluster.url(user=USER, password=QUOTED)}?prefix=t:{secrets.token_hex(6)}"

    @pytest.fixture
    def admin_url(self, cluster: Cluster) -> str:
        return cluster.url()
