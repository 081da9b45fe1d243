"""A real nginx that ends TLS before a server of the tests."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from ..patience import PATIENCE
from .processes import Server, free_port, own_directory, program
from .redis_single import Certificates

_AROUND: Final = """daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxied; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    # The tests are in front of it, as a CDN would be, and say who the client is.
    set_real_ip_from 127.0.0.0/8; real_ip_header X-Tests-Client;
    {server}
}}
"""
AS_IT_COMES: Final = """server {
    listen 443 ssl;
    ssl_certificate /etc/ssl/app.pem;
    ssl_certificate_key /etc/ssl/app.key;
    location / {
        proxy_pass http://127.0.0.1:8000;
    }
}
"""
"""What somebody has who has told it nothing."""


class Nginx(Server):
    """``server``: a server block, in which ports, files and names are replaced by those of the tests. ``upstream``: a
    port, or the path of a UNIX socket."""

    def __init__(self, folder: Path, server: str, upstream: int | Path) -> None:
        self.port = free_port()
        self.certificates = Certificates(folder)
        to = f"http://127.0.0.1:{upstream}" if isinstance(upstream, int) else f"http://unix:{upstream}:"
        for said, ours in (
            ("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            ("/etc/ssl/app.pem", str(self.certificates.certificate)),
            ("/etc/ssl/app.key", str(self.certificates.key)),
            ("http://127.0.0.1:8000", to),
        ):
            assert server.count(said) == 1, said
            server = server.replace(said, ours)
        config = folder / "nginx.conf"
        config.write_text(_AROUND.format(folder=folder, server=server))
        super().__init__(
            [program("nginx", "/usr/sbin"), "-e", f"{folder}/error.log", "-c", str(config)], log=folder / "log"
        )

    @property
    def url(self) -> str:
        """Where it is, by a name that is no loopback's in ``Host`` (see `client`)."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def origin(self) -> str:
        """The public site's."""
        return f"https://app.example.com:{self.port}"

    def trust(self) -> ssl.SSLContext:
        """Believes its certificate."""
        return ssl.create_default_context(cafile=str(self.certificates.authority))

    def answers(self) -> bool:
        try:
            httpx.get(self.url, verify=self.trust(), timeout=PATIENCE)
        except httpx.TransportError:
            return False
        return True


@contextmanager
def nginx(server: str, upstream: int | Path) -> Iterator[Nginx]:
    """nginx with this server block, on a free port."""
    with own_directory("nginx") as folder:
        folder.chmod(0o755)
        made = Nginx(folder, server, upstream)
        try:
            made.start()
            yield made
        finally:
            made.kill()
