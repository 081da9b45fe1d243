"""The service's login, for users that the application keeps: a `UserSource`, or any function."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from werkzeug.security import generate_password_hash

from coatcheck import ApplicationSubjects, Auth
from coatcheck.accounts import PasswordHasher
from coatcheck.asgi import auth_app
from coatcheck.errors import ConfigurationError, InvalidLogin
from coatcheck.stores.memory import MemoryStore
from tests.accounts.support import CHEAP, OTHER, PASSWORD
from tests.support.users import User, Users

ORIGIN = {"origin": "https://app.example"}
WRONG = {"email": "ada", "password": OTHER}
RIGHT = {"email": "ada", "password": PASSWORD, "mode": "session"}


@pytest.fixture
def users() -> Users:
    stored = generate_password_hash(PASSWORD, "scrypt:128:8:1")
    return Users([User("7", ("ada", "ada@lovelace.example"), stored, frozenset({"writer"}))])


@asynccontextmanager
async def visitor(auth: Auth) -> AsyncIterator[httpx.AsyncClient]:
    async with auth:
        inner = auth_app(auth)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["state"] = {"coatcheck": auth}
            await inner(scope, receive, send)

        transport = httpx.ASGITransport(app=app, client=("192.0.2.1", 4321))
        async with httpx.AsyncClient(transport=transport, base_url="https://app.example", headers=ORIGIN) as client:
            yield client


async def test_a_life(users: Users) -> None:
    """Logging in, who one is, proving again, changing the password and refreshing work as with our own accounts."""
    auth = Auth("memory://", subjects=users, password_hasher=PasswordHasher(CHEAP))
    async with visitor(auth) as web:
        assert (await web.post("/login", json=WRONG)).json()["code"] == "invalid_login"
        answer = await web.post("/login", json=RIGHT)
        assert answer.status_code == 200
        assert answer.json()["subject"] == {"id": "7", "email": "ada@lovelace.example", "roles": ["writer"]}
        assert users.all[0].password_hash.startswith("$argon2id$")
        other = (await web.post("/login", json=RIGHT | {"mode": "jwt"})).json()
        assert (await web.get("/session")).json()["subject"]["email"] == "ada@lovelace.example"
        assert (await web.post("/reauthenticate", json={"password": OTHER})).status_code == 401
        assert (await web.post("/reauthenticate", json={"password": PASSWORD})).status_code == 200
        body = {"current_password": PASSWORD, "new_password": "short"}
        assert (await web.post("/password", json=body)).json()["code"] == "weak_password"
        body = {"current_password": PASSWORD, "new_password": OTHER}
        assert (await web.post("/password", json=body)).status_code == 200
        assert (await web.get("/session")).status_code == 200
        assert (await web.post("/refresh", json={"refresh_token": other["refresh_token"]})).status_code == 401
        tokens = (await web.post("/login", json={"email": "ADA", "password": OTHER, "mode": "jwt"})).json()
        again = await web.post("/refresh", json={"refresh_token": tokens["refresh_token"]})
        assert again.json()["subject"]["email"] == "ada@lovelace.example"
        for path in ("/register", "/signup"):
            assert (await web.post(path, json={})).status_code in (404, 405)
        assert (await web.get("/admin/subjects")).status_code in (401, 403, 404)


async def test_disabled_and_unknown_are_alike(users: Users) -> None:
    """The answer is the same to the byte."""
    users.all[0].active = False
    auth = Auth("memory://", subjects=users, password_hasher=PasswordHasher(CHEAP))
    async with visitor(auth) as web:
        answers = [await web.post("/login", json=body) for body in (RIGHT, WRONG, RIGHT | {"email": "nobody"})]
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert answers[0].status_code == 401


async def test_any_function() -> None:
    """With a function that checks passwords there is the login, and nothing that needs the hashes."""
    auth = Auth(
        "memory://",
        subjects=ApplicationSubjects(authenticate=lambda name, password: "7" if password == PASSWORD else None),
    )
    assert (auth.can_authenticate, auth.has_logins, auth.has_accounts) == (True, False, False)
    async with visitor(auth) as web:
        assert (await web.post("/login", json=WRONG)).status_code == 401
        answer = await web.post("/login", json=RIGHT)
        assert answer.json()["subject"] == {"id": "7", "email": None, "roles": []}
        assert (await web.get("/session")).json()["subject"]["id"] == "7"
        for path in ("/reauthenticate", "/password", "/register"):
            assert (await web.post(path, json={})).status_code in (404, 405)
        with pytest.raises(ConfigurationError, match="UserSource"):
            _ = auth.logins


async def test_our_own_accounts() -> None:
    """`Auth.authenticate` is there for our own accounts as well; without any way to log in it says what to do."""
    async with Auth("memory://", password_hasher=PasswordHasher(CHEAP)) as auth:
        account = await auth.accounts.register("ada@lovelace.example", PASSWORD)
        proved = await auth.authenticate("Ada@lovelace.example", PASSWORD)
        assert (proved.subject, proved.email) == (account.id, "ada@lovelace.example")
        with pytest.raises(InvalidLogin):
            await auth.authenticate("ada@lovelace.example", OTHER)
    auth = Auth("memory://", subjects=lambda subject: None)
    assert not auth.can_authenticate
    async with auth:
        with pytest.raises(ConfigurationError, match="authenticate="):
            await auth.authenticate("ada", PASSWORD)


class _SessionsAndKeys:
    """A real store without what accounts need, as Redis is."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    def __getattr__(self, name: str) -> Any:
        if name in ("count_failure", "failures", "count_try", "settle_try", "by_email", "insert"):
            raise AttributeError(name)
        return getattr(self._store, name)


async def test_a_database_that_cannot_count(users: Users, caplog: pytest.LogCaptureFixture) -> None:
    """Where the database keeps no counters, each process counts for itself, and says so at start."""
    auth = Auth(
        _SessionsAndKeys(),
        secret="7Qm0vXr2LkT9dHs4WbNc8YpEf3GzJa6U",
        subjects=users,
        password_hasher=PasswordHasher(CHEAP),
    )  # type: ignore[arg-type]
    caplog.set_level(logging.WARNING)
    async with visitor(auth) as web:
        assert "counted by each process for itself" in caplog.text
        statuses = [(await web.post("/login", json=WRONG)).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2


@pytest.mark.parametrize("given", [Users, ApplicationSubjects, 5, "users"])
def test_subjects_that_are_none(given: Any) -> None:
    """A class, or anything that cannot say who has which roles, is refused when `Auth` is made."""
    with pytest.raises(ConfigurationError, match="subjects must be"):
        Auth("memory://", subjects=given)
