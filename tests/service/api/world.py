"""The service in one process, clients of every kind, and what is checked on each answer it gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from fastapi import FastAPI
from jsonschema import Draft202012Validator

from coatcheck import Auth, Credentials, Mode
from coatcheck.accounts import Argon2Profile, PasswordHasher
from coatcheck.credentials.cookies import SECURE
from coatcheck.model import Account

SECRET: Final = "a secret of the tests, 32 bytes or more"
SERVICE_KEY: Final = "service-key-of-the-tests-0123456789"
PASSWORD: Final = "correct horse battery staple"
OTHER_PASSWORD: Final = "paper boats cross the quiet harbour"
MODES: Final = tuple(Mode)
CHEAP: Final = Argon2Profile(memory=8, passes=1, lanes=1)
NOBODY: Final = Account(id="nobody", email="", email_key="", password_hash="")
BASE: Final = "https://auth.test"
OWN: Final = {"Sec-Fetch-Site": "same-origin"}
"""What a browser's own page adds to a request."""

_TOKEN = re.compile(r"ccs_[\w-]{20,}|ccr_[\w-]{20,}|eyJ[\w-]{10,}\.")
_METHODS = ("get", "post", "patch", "delete", "put")


def hasher() -> PasswordHasher:
    return PasswordHasher(CHEAP)


@dataclass
class Contract:
    """The OpenAPI document, as a judge of answers."""

    document: dict[str, Any]
    seen: set[tuple[str, str, int]] = field(default_factory=set)

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, item in self.document["paths"].items():
            for method in _METHODS:
                if method in item:
                    yield method.upper(), path, item[method]

    def operation(self, method: str, path: str) -> tuple[str, dict[str, Any]] | None:
        for known, template, operation in self.operations():
            if known == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
                return template, operation
        return None

    def check(self, response: httpx.Response, path: str) -> None:
        """Fail unless the document says that this may be answered."""
        method = "GET" if response.request.method == "HEAD" else response.request.method
        found = self.operation(method, path)
        if found is None:
            assert response.status_code >= 300, "an answer to something that is not in the document"
            return
        template, operation = found
        documented = operation["responses"].get(str(response.status_code))
        assert documented is not None, f"{method} {template} answered {response.status_code}, which is undocumented"
        self.seen.add((method, template, response.status_code))
        for name, about in documented.get("headers", {}).items():
            assert not about["required"] or name in response.headers, f"{name} is missing"
        if response.request.method != "HEAD" and "content" in documented:
            [(media, about)] = documented["content"].items()
            assert response.headers["content-type"].partition(";")[0] == media
            if media == "text/plain":
                return
            schema = about["schema"] | {"components": self.document["components"]}
            Draft202012Validator(schema).validate(response.json())


@dataclass
class World:
    """A running `Auth` and its application, with one account."""

    auth: Auth
    app: FastAPI
    account: Account
    contract: Contract
    root: str = "/auth"
    store: Any = None

    def client(self, *, base: str = BASE, browser: bool = True, ip: str = "198.51.100.7") -> Client:
        """A client. ``browser``: it says where its requests come from, as a page of our own origin would."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(ip, 50000))
        return Client(world=self, transport=transport, base_url=base, headers=OWN if browser else {})

    async def login(self, mode: Mode = Mode.SESSION, account: Account | None = None, **more: Any) -> Credentials:
        """A login that did not come over HTTP."""
        return await self.auth.login((account or self.account).id, mode=mode, **more)

    def holder(self, credentials: Credentials, **more: Any) -> Client:
        """A client that presents these credentials."""
        client = self.client(**more)
        for name, value in carried(credentials).items():
            client.headers[name] = value
        return client

    async def is_live(self, credentials: Credentials) -> bool:
        """Whether the session is, asked over HTTP with its own credential."""
        async with self.holder(credentials) as client:
            return (await client.get("/session")).status_code == 200


def carried(credentials: Credentials) -> dict[str, str]:
    """The header in which a client of this mode sends its credential."""
    mode = credentials.session.mode
    if mode is Mode.SESSION:
        return {"Cookie": f"{SECURE.session}={credentials.session_token}"}
    if mode is Mode.JWT_COOKIE:
        return {"Cookie": f"{SECURE.access}={credentials.access_token}"}
    return {"Authorization": f"Bearer {credentials.access_token}"}


class Client(httpx.AsyncClient):
    """Paths are below the service's prefix, and every answer is checked."""

    def __init__(self, *, world: World, **more: Any) -> None:
        super().__init__(**more)
        self.world = world

    async def request(self, method: str, url: Any, **more: Any) -> httpx.Response:
        response = await super().request(method, self.world.root + str(url), **more)
        check(self.world, response, str(url))
        return response


def check(world: World, response: httpx.Response, url: str) -> None:
    """What holds for every answer."""
    path = url.partition("?")[0]
    world.contract.check(response, path)
    headers = response.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers
    if path != "/.well-known/jwks.json":
        assert headers["cache-control"] == "no-store"
        assert headers["vary"] == "Cookie, Authorization"
    if response.url.scheme == "https":
        assert headers["strict-transport-security"].startswith("max-age=31536000")
    if response.status_code >= 400 and response.request.method != "HEAD":
        assert headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code
    if response.status_code == 401:
        assert headers["www-authenticate"].startswith("Bearer")
    if response.status_code == 405:
        assert headers["allow"]
    check_secrets(response)


def check_secrets(response: httpx.Response) -> None:
    """Passwords and keys are in no answer; tokens only in the body of a login in mode ``jwt`` and in Set-Cookie."""
    everything = response.text + str(response.headers.multi_items())
    assert PASSWORD not in everything
    assert OTHER_PASSWORD not in everything
    assert SERVICE_KEY not in everything
    others = [item for item in response.headers.multi_items() if item[0] != "set-cookie"]
    assert not _TOKEN.search(str(others))
    if _TOKEN.search(response.text):
        assert response.json()["mode"] == "jwt", "a token where none may be"


def set_cookies(response: httpx.Response) -> dict[str, tuple[str, dict[str, str]]]:
    """name → value and attributes, as they stand in the Set-Cookie headers."""
    found = {}
    for line in response.headers.get_list("set-cookie"):
        pair, *rest = line.split("; ")
        name, _, value = pair.partition("=")
        assert name not in found, "the same cookie set twice"
        found[name] = value, {key: value for key, _, value in (part.partition("=") for part in rest)}
    return found


def code(response: httpx.Response) -> str:
    """The status and code of a refusal, as "401 invalid_login"."""
    return f"{response.status_code} {response.json()['code']}"
