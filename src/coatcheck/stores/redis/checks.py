"""What must be so before a server may keep sessions. Everything that is wrong is told at the start, in one line."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from ...errors import ConfigurationError, StoreUnavailable
from .node import Node
from .scripts import NO_WRITES, OPERATION_TIMEOUT, Effect, Scripts
from .topology import Topology
from .urls import Target

OLDEST: Final = (6, 2)
"""The first version that trims a stream by position."""


async def check_servers(target: Target, topology: Topology) -> None:
    """Version, kind, role and eviction policy of every server that may hold data of ours.

    Raises `ConfigurationError` or `StoreUnavailable`."""
    for node in await topology.primaries():
        facts = await _facts(node)
        version = tuple(int(part) for part in facts.get("redis_version", "0").split(".")[:2])
        if version < OLDEST:
            raise ConfigurationError(
                f"the store needs Redis 6.2 or later, or Valkey; this is {version[0]}.{version[1]}"
            )
        is_cluster = facts.get("redis_mode") == "cluster"
        if is_cluster and target.kind != "cluster":
            raise ConfigurationError("the server is a node of a cluster: write redis+cluster:// or rediss+cluster://")
        if facts.get("role") != "master":
            raise ConfigurationError("the server is a replica: name the primary, or use redis+sentinel://")
        check_policy(facts.get("maxmemory_policy", ""))
    for node in await topology.replicas():
        try:
            facts = await _facts(node)
        except StoreUnavailable:
            continue  # one that is down cannot become a primary either
        check_policy(facts.get("maxmemory_policy", ""))


def check_policy(policy: str) -> None:
    """Raises `ConfigurationError` unless nothing is ever evicted."""
    if policy != "noeviction":
        raise ConfigurationError(
            f"maxmemory-policy is {policy or 'unknown'}: Redis would drop revocations and logins when memory runs out; "
            "set it to noeviction on every server"
        )


async def check_rights(scripts: Scripts) -> None:
    """That the user may do everything the store does, and that the store has as many shards as we believe. Where writes
    are refused for now, what is read still has to work: a process starts and verifies (`check_writes` says the rest).

    Raises `ConfigurationError` or `StoreUnavailable`."""
    for shard in scripts.shards:
        refused = await scripts.run("check", shard, now="0", kind=Effect.LASTING, whole=True)
        if refused:
            command, _, why = refused.decode("utf-8", "replace").partition(": ")
            if why.partition(" ")[0] not in NO_WRITES:
                raise ConfigurationError(
                    f"the Redis user may not use {command} on the store's keys or channel: see the ACL in docs/redis.md"
                )
        await scripts.run("events", shard, "", 1, scripts.fenced, now="0", kind=Effect.READ)


def settled(error: StoreUnavailable) -> ConfigurationError | None:
    """The refusal behind a failure, where that is one that does not pass by itself."""
    cause = error.__cause__
    text = str(cause)
    if isinstance(cause, AuthenticationError):
        return ConfigurationError("Redis refused the user name or password of the URL")
    if "OTHER-SHARDS" in text:
        return ConfigurationError("the store was made with another number of shards; write that one into the URL")
    if "NOPERM" in text or isinstance(cause, NoPermissionError):
        return ConfigurationError("the Redis user lacks a right that the store needs: see the ACL in docs/redis.md")
    if "cluster support disabled" in text:
        return ConfigurationError("the server is no node of a cluster: write redis:// or rediss://")
    if "unknown command" in text and "SENTINEL" in text.upper():
        return ConfigurationError("the server is no sentinel: write redis:// or rediss://")
    if "DB index is out of range" in text or "Invalid Database" in text:
        return ConfigurationError("Redis has no database with the number in the URL")
    if _is_certificate(cause):
        return ConfigurationError("the Redis server's certificate does not verify; is ca_file right?")
    return None


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


async def _facts(node: Node) -> dict[str, str]:
    """What INFO says. Raises `ConfigurationError` for what will not pass by itself, else `StoreUnavailable`."""
    try:
        async with asyncio.timeout(OPERATION_TIMEOUT):
            replies = await node.exchange([("INFO", section) for section in ("server", "replication", "memory")])
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis failed: {type(error).__name__}") from error
    facts: dict[str, str] = {}
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise ConfigurationError("the Redis user may not use INFO: see the ACL in docs/redis.md") from reply
        lines = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines())
        facts |= {name: value for name, _, value in lines}
    return facts
