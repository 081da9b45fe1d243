"""PostgreSQL's URLs are libpq's: every option is honoured, or refused by its name."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.stores import open_store
from coatcheck.stores.sql import SchemaState, SqlStore, migrate, pg_connect, schema_state
from coatcheck.testing.store_contract.support import logged_in
from tests.support.databases import shared_postgresql
from tests.support.patience import SOON
from tests.support.servers import PostgreSQL, free_port, postgresql
from tests.support.servers.processes import own_directory
from tests.support.servers.redis_single import Certificates


@dataclass(frozen=True)
class Secure:
    """A server that speaks TLS, with a certificate for 127.0.0.1 and localhost, and listens at 127.0.0.2 as well."""

    server: PostgreSQL
    database: str
    certificates: Certificates

    def url(self, query: str, host: str = "127.0.0.1") -> str:
        return f"postgresql://postgres@{host}:{self.server.port}/{self.database}?{query}"


@pytest.fixture(scope="module")
def secure() -> Iterator[Secure]:
    with own_directory("tls") as directory:
        certificates = Certificates(directory)
        certificates.key.chmod(0o600)
        if os.geteuid() == 0:
            for path in (directory, *directory.iterdir()):
                shutil.chown(path, "postgres", "postgres")
        options = {
            "ssl": "on",
            "ssl_cert_file": str(certificates.certificate),
            "ssl_key_file": str(certificates.key),
            "listen_addresses": "127.0.0.1,127.0.0.2",
        }
        with postgresql(options=options) as server:
            name = server.create_database()
            asyncio.run(migrate(server.url(name)))
            yield Secure(server, name, certificates)


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's own certificates, and no authorities but those that a test names."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))


async def _shown(url: str) -> Mapping[str, str]:
    """What the server says of the connection of a store that was opened with this URL."""
    store = SqlStore.postgresql(url)
    await store.open()
    try:
        await logged_in(store)
        asked = "SELECT a.application_name, s.ssl::text AS ssl, current_setting('work_mem') AS work_mem, a.usename"
        asked += " FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) WHERE pid = pg_backend_pid()"
        row = await store.database.read(lambda tx: tx.execute(text(asked)).one())
        return {name: str(value) for name, value in row._mapping.items()}
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("query", "encrypted"),
    [
        ("", "true"),
        ("sslmode=disable", "false"),
        ("sslmode=require", "true"),
        ("ssl=true", "true"),
        ("sslmode=require&channel_binding=prefer", "true"),
        ("sslmode=verify-ca&sslrootcert={ca}", "true"),
        ("sslmode=verify-full&sslrootcert={ca}&ssl_min_protocol_version=TLSv1.3", "true"),
        ("sslmode=require&sslcompression=0&sslsni=1&gssencmode=prefer&connect_timeout=10", "true"),
    ],
)
async def test_tls_is_as_the_url_says(secure: Secure, query: str, encrypted: str) -> None:
    """With an authority of one's own, with none, and without TLS."""
    shown = await _shown(secure.url(query.format(ca=secure.certificates.authority)))
    assert shown["ssl"] == encrypted


@pytest.mark.parametrize(
    "query",
    ["sslmode=verify-full", "sslrootcert=system", "sslmode=verify-full&sslrootcert=system&sslnegotiation=postgres"],
)
async def test_the_systems_authorities_are_believed(
    secure: Secure, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the URL names no other, and they alone; with the name of the host."""
    with pytest.raises(ConfigurationError, match="does not verify"):
        await SqlStore.postgresql(secure.url(query)).open()
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificates.authority))
    assert (await _shown(secure.url(query)))["ssl"] == "true"
    assert (await _shown(secure.url(query, "localhost")))["ssl"] == "true"
    with pytest.raises(ConfigurationError, match="for another name"):
        await SqlStore.postgresql(secure.url(query, "127.0.0.2")).open()


async def test_what_is_wrong_with_tls_is_told_apart(secure: Secure, tmp_path: Path) -> None:
    """A file that is missing or none, a server without TLS, another authority, nobody there: each in its own words."""
    plain = f"postgresql://postgres:hunter2@127.0.0.1:{shared_postgresql().port}/postgres"
    none = tmp_path / "hunter2.pem"
    none.write_text("no certificate")
    absent, nobody = tmp_path / "hunter2-absent", f"postgresql://u:hunter2@127.0.0.1:{free_port()}/d"
    other = Certificates(tmp_path).authority
    wrong = {
        f"{plain}?sslmode=require": "speaks no TLS",
        f"{plain}?sslmode=verify-full": "speaks no TLS",
        secure.url(
            f"sslmode=verify-full&sslrootcert={absent}"
        ): "sslrootcert in the database's URL names cannot be read",
        secure.url(f"sslcert={absent}"): "sslcert in the database's URL names cannot be read",
        secure.url(f"sslmode=verify-full&sslcrl={absent}"): "sslcrl in the database's URL names cannot be read",
        secure.url(f"sslmode=verify-ca&sslrootcert={none}"): "is none",
        secure.url(f"sslmode=verify-full&sslcert={none}"): "is none",
        secure.url(f"sslmode=verify-full&sslrootcert={other}"): "does not verify",
        secure.url("sslmode=verify-ca"): "needs sslrootcert",
    }
    for url, words in wrong.items():
        for opening in (SqlStore.postgresql(url).open(), schema_state(url)):
            with pytest.raises(ConfigurationError) as caught:
                await opening
            assert words in str(caught.value), url
            assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await SqlStore.postgresql(nobody).open()


async def test_a_file_that_goes_while_the_store_runs_is_no_fault_of_the_caller(secure: Secure, tmp_path: Path) -> None:
    """It is unavailable, and says why; when the file is back it goes on."""
    root = tmp_path / "root.pem"
    shutil.copy(secure.certificates.authority, root)
    store = SqlStore.postgresql(secure.url(f"sslmode=verify-full&sslrootcert={root}"))
    await store.open()
    session = await logged_in(store)
    await store.database.engines[0].dispose()
    root.rename(tmp_path / "aside.pem")
    with pytest.raises(StoreUnavailable, match="sslrootcert"):
        await store.find(session.id, now=session.created)
    (tmp_path / "aside.pem").rename(root)
    assert await store.find(session.id, now=session.created)
    await store.close()


@pytest.fixture(scope="module")
def plain() -> tuple[PostgreSQL, str]:
    """A server, and a migrated database on it."""
    server = shared_postgresql()
    name = server.create_database()
    asyncio.run(migrate(server.url(name)))
    return server, name


@pytest.mark.parametrize(
    "url",
    [
        "postgres://postgres@127.0.0.1:{port}/{name}",
        "postgresql://postgres@localhost:{port}/{name}?gssencmode=disable",
        "postgresql://127.0.0.1:{port}/{name}?user=postgres",
        "postgresql:///{name}?host=127.0.0.1&port={port}&user=postgres",
        "postgresql://postgres@/{name}?host={folder}&port={port}",
        "postgresql://postgres@%2F{folder}:{port}/{name}",
        "postgresql:///?dbname={name}&host=127.0.0.1&port={port}&user=postgres&client_encoding=utf8",
        "postgresql://postgres@127.0.0.1:1,127.0.0.1:{port}/{name}?target_session_attrs=read-write",
        "postgresql://u:p@localhost:1/d?host={folder}&port={port}&user=postgres&dbname={name}",
        "postgresql://u@127.0.0.1:{port}/d?host={folder}&user=postgres&dbname={name}",
        "postgresql://u@127.0.0.1:{port},127.0.0.1/{name}?port={port}&user=postgres",
        "postgresql://postgres@127.0.0.1:{port}/{name}?listen={folder}:{port}",
        "postgresql://p%6Fstgres@127.0.0.1:{port}/%74{rest}?load_balance_hosts=disable",
    ],
)
async def test_every_spelling_of_a_url_leads_there(plain: tuple[PostgreSQL, str], url: str) -> None:
    """Hosts, sockets, ports, names: before the path or as options, which win as in libpq; escaped or not."""
    server, name = plain
    folder = str(server.directory).lstrip("/") if "%2F" in url else server.directory
    url = url.format(port=server.port, name=name, rest=name[1:], folder=str(folder).replace("/", "%2F"))
    assert await schema_state(url) is SchemaState.CURRENT
    store = open_store(url)
    await store.open()
    await logged_in(store)
    await store.close()


async def test_settings_and_names_reach_the_server(plain: tuple[PostgreSQL, str]) -> None:
    """``options``, whose ``+`` is one, and the name under which we are shown."""
    server, name = plain
    query = "?options=-c%20work_mem%3D8MB&application_name=shop%2Bauth+1"
    shown = await _shown(server.url(name) + query)
    assert (shown["work_mem"], shown["application_name"]) == ("8MB", "shop+auth+1")
    assert (await _shown(f"{server.url(name)}?fallback_application_name=x"))["application_name"] == "x"
    assert (await _shown(server.url(name)))["application_name"] == "coatcheck"


async def test_keepalives_are_set_on_the_socket(plain: tuple[PostgreSQL, str]) -> None:
    """As libpq does: on unless they are off, with the times that the URL says."""
    server, name = plain
    for query, on, idle in (
        ("", 1, None),
        ("keepalives=0", 0, None),
        ("keepalives_idle=77&tcp_user_timeout=9000", 1, 77),
    ):
        store = SqlStore.postgresql(f"{server.url(name)}?{query}")
        await store.open()
        async with store.database.engines[0].connect() as connection:
            link = (await connection.get_raw_connection()).driver_connection
            found = link._transport.get_extra_info("socket")  # type: ignore[union-attr]
            assert bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) == bool(on)
            if idle:
                assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == idle
                assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 9000
        await store.close()


async def test_the_time_to_connect_is_the_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that accepts and keeps silent is given up after that many seconds, not after ours."""
    for ours in ("CONNECT_TIMEOUT", "COMMAND_TIMEOUT"):
        monkeypatch.setattr(pg_connect, ours, SOON)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = asyncio.get_running_loop().time()
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d?connect_timeout=1"
        with pytest.raises(StoreUnavailable):
            await SqlStore.postgresql(url).open()
        assert asyncio.get_running_loop().time() - began < SOON


@pytest.mark.parametrize("spelling", ["{silent},{real}", "?host=127.0.0.1,127.0.0.1&port={ports}"])
async def test_a_silent_server_hides_no_other(plain: tuple[PostgreSQL, str], spelling: str) -> None:
    """Of several servers each has its time to connect, as in libpq."""
    server, name = plain
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hosts = spelling.format(
            silent=f"127.0.0.1:{port}", real=f"127.0.0.1:{server.port}", ports=f"{port},{server.port}"
        )
        place, _, query = hosts.partition("?")
        url = f"postgresql://postgres@{place}/{name}?connect_timeout=1&{query}".rstrip("&")
        assert await schema_state(url) is SchemaState.CURRENT


def test_what_comes_from_neon_is_told_what_to_leave_out() -> None:
    """``channel_binding=require`` is in the URL that it hands out."""
    with pytest.raises(ConfigurationError, match="leave it out"):
        open_store("postgresql://u:p@127.0.0.1/d?sslmode=require&channel_binding=require")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("host=/a,/b&port=1,2,3", "ports"),
        ("channel_binding=require", "channel_binding"),
        ("gssencmode=require", "gssencmode"),
        ("sslmode=sometimes", "sslmode"),
        ("sslmode=REQUIRE", "sslmode"),
        ("listen=h:abc", "listen"),
        ("listen=h:99999", "listen"),
        ("listen=h:5432/d", "listen"),
        ("listen=u%3Ahunter2%40h", "listen"),
        ("port=99999", "port"),
        ("port=abc", "port"),
        ("host=h:5432", "host"),
        ("sslnegotiation=maybe", "sslnegotiation"),
        ("ssl_min_protocol_version=9", "ssl_min_protocol_version"),
        ("sslmod=require", "sslmod"),
        ("ssl=maybe", "ssl"),
        ("sslmode=require&sslrootcert=system", "sslrootcert"),
        ("require_auth=scram-sha-256", "require_auth"),
        ("hostaddr=127.0.0.1", "hostaddr"),
        ("sslcrldir=/x", "sslcrldir"),
        ("sslcompression=1", "sslcompression"),
        ("requirepeer=postgres", "requirepeer"),
        ("load_balance_hosts=random", "load_balance_hosts"),
        ("client_encoding=latin1", "client_encoding"),
        ("replication=database", "replication"),
        ("target_session_attrs=any", "target_session_attrs"),
        ("connect_timeout=0", "connect_timeout"),
        ("connect_timeout=soon", "connect_timeout"),
        ("keepalives=2", "keepalives"),
        ("keepalives_idle=-1", "keepalives_idle"),
        ("pool_size=0", "pool_size"),
        ("work_mem=8MB", "work_mem"),
        ("search_path=x", "search_path"),
    ],
)
def test_an_option_that_cannot_be_honoured_is_named(query: str, name: str) -> None:
    """When the store is made, before anything is opened; nothing else of the URL is repeated."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(f"postgres://u:hunter2@{'' if 'ports' in name else '127.0.0.1'}/quokka?{query}")
    assert re.search(rf"\b{name}\b", str(caught.value))
    assert not any(secret in str(caught.value) for secret in ("hunter2", "quokka", "127.0.0.1"))


@pytest.mark.parametrize(
    "password", ["pa?quokka=1", "pa?x=1&quokka=2", "pa?quokka", "pa#quokka", "pa/quokka", "[quokka"]
)
def test_a_password_that_is_not_escaped_is_not_taken_for_an_option(password: str) -> None:
    """What follows a question mark in it is no name that may be repeated."""
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(open_store(f"postgres://u:{password}@127.0.0.1/d").open())
    assert "quokka" not in f"{caught.value!r}"
