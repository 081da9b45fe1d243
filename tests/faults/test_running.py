"""Starting and ending the service."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from coatcheck import Mode
from coatcheck.service.run import bind
from tests.support.service import PATIENCE, add_user, environment, eventually, running_service

from .devices import login


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_it_ends_in_good_order(tmp_path: Path, workers: int, name: str) -> None:
    """Exit code 0, no process left, no traceback, and the write-ahead log is merged into the database."""
    with running_service(tmp_path, workers=workers) as service:
        with httpx.Client(base_url=service.base_url, timeout=PATIENCE) as idle:
            idle.get("/auth/healthz")
            pids = [service.process.pid, *service.workers()]
            service.process.send_signal(getattr(signal, name))
            assert service.process.wait(PATIENCE) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert "Traceback" not in service.output()
        assert "ended with" not in service.output()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coatcheck.db", "coatcheck.db.secret", "service.log"]


@pytest.mark.parametrize("workers", [1, 2])
def test_it_ends_when_told_so_as_soon_as_it_greets(tmp_path: Path, workers: int) -> None:
    """A SIGTERM right after the greeting, before the server listens for signals, counts."""
    command = [sys.executable, "-m", "coatcheck", "serve", "--port", "0", "--workers", str(workers)]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("Coatcheck is at"):
                    break
            process.terminate()
            # By the signal itself while nothing is open yet, in good order from then on.
            assert process.wait(PATIENCE) in (0, -signal.SIGTERM)
        finally:
            process.kill()


def test_workers_do_not_outlive_their_parent(tmp_path: Path) -> None:
    """When it is killed, they give back the port."""
    with running_service(tmp_path, workers=2) as service:
        workers = service.workers()
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait(PATIENCE)
        eventually(lambda: not any(_runs(pid) for pid in workers), what="the workers are gone")


def test_nothing_secret_is_on_a_command_line_or_in_the_log(tmp_path: Path) -> None:
    """Workers get their secrets in another way, and requests are logged without what they carry."""
    secret = "s3cr3t-of-a-service-that-runs-while-it-is-tested"
    with running_service(tmp_path, workers=2, env={"COATCHECK_SECRET": secret}) as service:
        add_user(tmp_path, "ann@example.com")
        with httpx.Client(base_url=service.base_url, timeout=PATIENCE) as client:
            _, held = login(client, "ann@example.com", Mode.JWT)
            assert held is not None
            client.get("/auth/session", params={"access_token": held.tokens["access"]})
            client.get("/auth/session", headers={"Authorization": f"Bearer {held.tokens['access'][:-4]}AAAA"})
        for pid in [service.process.pid, *service.workers()]:
            assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        log = service.output()
    for word in (secret, held.tokens["access"][:-8], held.tokens["refresh"]):
        assert word not in log
    assert not (tmp_path / "coatcheck.db.secret").exists()


def test_the_server_says_nothing_of_itself_and_believes_no_proxy(tmp_path: Path) -> None:
    """No Server header; X-Forwarded headers count only from the proxies that were named. From others they say that a
    proxy stands before us which we do not know, and then no development cookie is given."""
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    body = {"email": "ann@example.com", "password": "correct horse battery staple", "mode": "session"}
    for proxies, headers, cookie in (
        ("127.0.0.9", {}, "coatcheck-"),
        ("127.0.0.9", forwarded, ""),
        ("127.0.0.0/8", forwarded, "__Host-coatcheck="),
    ):
        with running_service(tmp_path, arguments=["--trusted-proxies", proxies]) as service:
            if not headers:
                add_user(tmp_path, "ann@example.com")
            response = httpx.post(f"{service.base_url}/auth/login", json=body, headers=headers, timeout=PATIENCE)
            assert "server" not in response.headers
            if cookie:
                assert response.status_code == 200, response.text
                assert response.headers["set-cookie"].startswith(cookie)
            else:
                assert (response.status_code, response.json()["code"]) == (400, "cookies_need_tls")
                assert "set-cookie" not in response.headers
            assert ("203.0.113.9" in service.output()) is cookie.startswith("__Host-")


def test_a_start_says_where_it_is_and_what_it_relaxed(tmp_path: Path) -> None:
    """In development on this machine; behind a proxy nothing was relaxed."""
    with running_service(tmp_path) as service:
        assert service.output().count("cookies lack Secure") == 1
        assert f"Coatcheck is at {service.base_url}/ (1 worker" in service.output()
        assert httpx.get(f"{service.base_url}/", follow_redirects=True, timeout=PATIENCE).status_code == 200
    with running_service(tmp_path, arguments=["--trusted-proxies", "127.0.0.1"]) as service:
        assert "cookies lack Secure" not in service.output()


def test_it_can_end_tls_itself(tmp_path: Path) -> None:
    """Then it may be reached from other machines, and cookies are Secure."""
    _write_certificate(tmp_path)
    arguments = ["--host", "127.0.0.1", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]
    trusted = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    with running_service(tmp_path, arguments=arguments, verify=trusted) as service:
        assert service.base_url.startswith("https://")
        assert "cookies lack Secure" not in service.output()
        body = {"email": "ann@example.com", "password": "correct horse battery staple", "mode": "session"}
        with httpx.Client(base_url=service.base_url, verify=trusted, timeout=PATIENCE) as client:
            assert client.post("/auth/register", json=body).headers["set-cookie"].startswith("__Host-coatcheck=")


def test_a_name_is_listened_on_at_all_its_addresses() -> None:
    """Whichever of localhost's addresses a client tries first, on the same port."""
    sockets = bind("localhost", 0)
    try:
        port = sockets[0].getsockname()[1]
        assert {listener.getsockname()[1] for listener in sockets} == {port}
        addresses = {found[4][0] for found in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)}
        assert {listener.getsockname()[0] for listener in sockets} <= addresses
        for listener in sockets:
            with socket.create_connection(listener.getsockname()[:2]):
                pass
    finally:
        for listener in sockets:
            listener.close()


def _write_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(private)
    (folder / "key.pem").chmod(0o600)


def _runs(pid: int) -> bool:
    """Whether the process is there and not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_head_without_end_is_cut_off(tmp_path: Path) -> None:
    """The service bounds what it takes from a client that it does not know yet, and goes on."""
    with running_service(tmp_path) as service:
        url = httpx.URL(service.base_url)
        with socket.create_connection((url.host, url.port or 0), timeout=PATIENCE) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
            with pytest.raises(ConnectionError):
                connection.sendall(b"X: a\r\n" * 10_000_000)
        assert httpx.get(f"{service.base_url}/readyz", timeout=PATIENCE).status_code == 200
