"""Redis URLs: what they mean, and that a wrong one is refused without being repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from coatcheck.errors import ConfigurationError
from coatcheck.stores import open_store
from coatcheck.stores.redis import RedisStore
from coatcheck.stores.redis.scripts import shards
from coatcheck.stores.redis.urls import Login, parse

SECRET = "hunter2"


def test_a_plain_url_has_defaults() -> None:
    """Port 6379, database 0, no login, prefix coatcheck, one shard."""
    target = parse("redis://example")
    assert (target.kind, target.addresses, target.database) == ("single", (("example", 6379),), 0)
    assert (target.login, target.tls, target.prefix, target.shards, target.replicas) == (
        Login(), None, "coatcheck", 1, 0,
    )  # fmt: skip


def test_every_part_is_read() -> None:
    """Percent signs in user and password stand for what they say; IPv6 in brackets."""
    target = parse("valkey://us%40er:p%3Aw%2F@[::1]:7000/3?prefix=a.b&shards=4&replicas=2&connections=5")
    assert target.addresses == (("::1", 7000),)
    assert (target.login.username, target.login.password) == ("us@er", "p:w/")
    assert (target.database, target.prefix, target.shards, target.replicas, target.connections) == (3, "a.b", 4, 2, 5)


def test_sentinels_and_clusters_take_several_addresses() -> None:
    """With their own default ports and shards; only Sentinel has a name and a database."""
    watched = parse(f"rediss+sentinel://:{SECRET}@a,b:1/main/2?sentinel_username=w&sentinel_password={SECRET}")
    assert (watched.kind, watched.addresses) == ("sentinel", (("a", 26379), ("b", 1)))
    assert (watched.service, watched.database, watched.shards) == ("main", 2, 1)
    assert (watched.login.username, watched.sentinel_login.username) == (None, "w")
    assert watched.tls is not None
    assert watched.tls.check_hostname
    cluster = parse("valkey+cluster://a:1,b:2,c:3")
    assert (cluster.kind, cluster.shards, len(cluster.addresses)) == ("cluster", 16, 3)


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        f"redis://:{SECRET}@",
        f"redis://:{SECRET}@host:port/0",
        f"redis://:{SECRET}@host:99999",
        f"redis://:{SECRET}@a,b",
        f"redis://:{SECRET}@host/zero",
        f"redis://:{SECRET}@host/1/2",
        f"redis://:{SECRET}@host/٣",
        f"redis://:{SECRET}@host#fragment",
        f"redis://:{SECRET}@host?password={SECRET}",
        f"redis://:{SECRET}@host?prefix=a&prefix=b",
        f"redis://:{SECRET}@host?prefix={SECRET}%7Bx%7D",
        f"redis://:{SECRET}@host?prefix=",
        f"redis://:{SECRET}@host?shards=0",
        f"redis://:{SECRET}@host?shards=1e3",
        f"redis://:{SECRET}@host?replicas=-1",
        f"redis://:{SECRET}@host?{SECRET}",
        f"redis://:{SECRET}@host?ca_file=/etc/hostname",
        f"rediss://:{SECRET}@host?ca_file=/no/{SECRET}",
        f"redis://user-{SECRET}@host",
        f"redis+sentinel://:{SECRET}@host",
        f"redis+cluster://:{SECRET}@host/1",
        f"redis+cluster://:{SECRET}@host:1,,host:2",
        f"redis://:{SECRET}@[host",
    ],
)
def test_a_wrong_url_is_refused_and_not_repeated(url: str) -> None:
    """ConfigurationError in one line, without a word of the URL."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(url)
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text
    assert caught.value.__cause__ is None or SECRET not in str(caught.value.__cause__)


def test_files_that_are_no_certificates_are_refused(tmp_path: Path) -> None:
    """At once, not at the first connection."""
    wrong = tmp_path / "ca.pem"
    wrong.write_text("nothing")
    with pytest.raises(ConfigurationError, match="certificate files"):
        parse(f"rediss://host?ca_file={wrong}")


def test_no_secret_shows() -> None:
    """Neither the store nor what it knows of its URL shows a password."""
    store = RedisStore(f"redis+sentinel://user:{SECRET}@host/main?sentinel_password={SECRET}")
    assert SECRET not in repr(store)
    assert SECRET not in repr(vars(store))


@pytest.mark.parametrize("count", [1, 2, 16, 100])
def test_shards_are_spread_over_the_slots(count: int) -> None:
    """Each in its own part of the 16,384 slots, so that every primary gets its share; and always in the same one."""
    made = shards("coatcheck", count)
    for shard in made:
        assert shard.number * 16384 // count <= shard.slot < (shard.number + 1) * 16384 // count
    assert made == shards("coatcheck", count)
    assert [shard.slot for shard in made] == [shard.slot for shard in shards("other", count)]
