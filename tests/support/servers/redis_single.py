"""One Redis server."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .clocks import ServerClock
from .processes import PATIENCE, Server, free_port, own_directory, program

_ALWAYS: Final = {
    "save": '""',
    "enable-debug-command": "local",
    "repl-diskless-sync-delay": "0",
}
_DURABLE: Final = {"appendonly": "yes", "appendfsync": "always"}


class Redis(Server):
    """A server that is running, or was. ``certificates`` is set when it speaks TLS (and nothing else)."""

    def __init__(
        self,
        directory: Path,
        options: Mapping[str, str],
        users: Sequence[str] = (),
        *,
        tls: bool = False,
        is_sentinel: bool = False,
        announce: Callable[[int], int] | None = None,
        clock: ServerClock | None = None,
    ) -> None:
        self.port = free_port()
        self.announced = announce(self.port) if announce else self.port
        self.directory = directory
        self.options = options
        self.certificates = Certificates(directory) if tls else None
        always = {} if is_sentinel else _ALWAYS
        settings = [f"{name} {value}" for name, value in (always | self._where() | dict(options)).items()]
        self._config = directory / "redis.conf"
        self._config.write_text("\n".join([*settings, *(f"user {user}" for user in users), ""]))
        command = [program("redis-server"), str(self._config), *(["--sentinel"] if is_sentinel else [])]
        super().__init__(command, log=directory / "log", variables=clock.environment() if clock else None)

    def url(self, *, user: str = "", password: str = "", database: int = 0, port: int | None = None) -> str:
        """``redis://…`` or ``rediss://…``; ``port`` is that of a proxy."""
        scheme = "rediss" if self.certificates else "redis"
        who = f"{user}:{password}@" if user or password else ""
        path = f"/{database}" if database else ""
        return f"{scheme}://{who}127.0.0.1:{port or self.port}{path}"

    def cli(self, *words: str, user: str = "", password: str = "") -> str:
        """What ``redis-cli`` prints for a command. Raises when the server answers with an error."""
        command = [program("redis-cli"), "-e", "-h", "127.0.0.1", "-p", str(self.port)]
        if user or password:
            command += ["--no-auth-warning", "--user", user or "default", "--pass", password]
        if self.certificates:
            command += ["--tls", "--cacert", str(self.certificates.authority)]
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode:
            raise AssertionError(f"redis-cli {words[0]}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    @contextmanager
    def configured(self, **settings: str) -> Iterator[None]:
        """Started within the block, it has these settings besides."""
        before = self._config.read_text()
        self._config.write_text(before + "".join(f"{name} {value}\n" for name, value in settings.items()))
        try:
            yield
        finally:
            self._config.write_text(before)

    def info(self, section: str, name: str) -> str:
        """One line of INFO."""
        return field(self.cli("INFO", section), name)

    def answers(self) -> bool:
        command = [program("redis-cli"), "-h", "127.0.0.1", "-p", str(self.port)]
        if self.certificates:
            command += ["--tls", "--cacert", str(self.certificates.authority)]
        done = subprocess.run([*command, "PING"], capture_output=True, text=True, check=False)
        return done.stdout.startswith(("PONG", "NOAUTH"))

    def _where(self) -> dict[str, str]:
        where = {"bind": "127.0.0.1", "port": str(self.port), "dir": str(self.directory)}
        if self.announced != self.port:
            where |= {"cluster-announce-port": str(self.announced)}
        if self.certificates:
            where |= {"port": "0", "tls-port": str(self.port), "tls-auth-clients": "no"}
            where |= {
                "tls-ca-cert-file": str(self.certificates.authority),
                "tls-cert-file": str(self.certificates.certificate),
                "tls-key-file": str(self.certificates.key),
            }
        return where


@contextmanager
def redis(
    *,
    durable: bool = False,
    options: Mapping[str, str] | None = None,
    users: Sequence[str] = (),
    tls: bool = False,
    replica_of: Redis | None = None,
    clock: ServerClock | None = None,
) -> Iterator[Redis]:
    """A Redis server on a free port.

    ``durable``: every write is on the disk before it is answered (``appendfsync always``). ``options``: settings of
    ``redis.conf``. ``users``: ACL rules such as ``"app on >secret ~cc:* +@all"``. ``tls``: speak TLS only, with a
    certificate for 127.0.0.1 and localhost, see `Redis.certificates`. ``clock``: its time of day.
    """
    settings = (_DURABLE if durable else {}) | dict(options or {})
    if replica_of is not None:
        settings |= {"replicaof": f"127.0.0.1 {replica_of.port}"}
    with own_directory("redis") as directory:
        server = Redis(directory, settings, users, tls=tls, clock=clock)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def field(text: str, name: str) -> str:
    """The value of ``name:value`` among the lines of an answer; empty when it is not there."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""


class Certificates:
    """An authority and a server's certificate by it, good for an hour, as PEM files."""

    def __init__(self, directory: Path) -> None:
        self.authority = directory / "ca.pem"
        self.certificate = directory / "server.pem"
        self.key = directory / "server.key"
        signer, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        issuer = _name("Coatcheck test authority")
        ca = _certificate(issuer, signer.public_key(), issuer).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        names = x509.SubjectAlternativeName(
            [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
        )  # fmt: skip
        leaf = _certificate(_name("localhost"), own.public_key(), issuer).add_extension(names, critical=False)
        pem = serialization.Encoding.PEM
        self.authority.write_bytes(ca.sign(signer, hashes.SHA256()).public_bytes(pem))
        self.certificate.write_bytes(leaf.sign(signer, hashes.SHA256()).public_bytes(pem))
        self.key.write_bytes(
            own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )  # fmt: skip


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )
