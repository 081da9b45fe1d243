# ruff: noqa: S101
"""The suite for whoever writes a feature. Derive from it, and say in a fixture which feature it is.

::

    class TestNotes(FeatureContract):
        routes = {"/api/notes": {"text": "buy oats"}}

        @pytest.fixture
        def feature(self):
            return Notes()

Needs pytest and pytest-asyncio, and httpx.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..auth import Auth
from ..extras import module_needs
from ..features.base import Feature, Off, checked
from ..features.registry import BUILT_IN
from ..features.tables import ensure_tables, remove_tables
from ..model import Mode
from ..service.app import auth_app
from .memory import cheap_passwords

with module_needs("coatcheck.testing.FeatureContract", "httpx", install="httpx"):
    import httpx
with module_needs("coatcheck.testing.FeatureContract", "pytest"):
    import pytest

_EMAIL, _PASSWORD = "somebody@example.com", "correct horse battery staple"
_SECRET = "a secret for tests, of 32 bytes or more"


class FeatureContract:
    """What holds of every feature. Nothing in it may be skipped."""

    routes: Mapping[str, Mapping[str, Any]] = {}
    """Paths of its API that somebody logged in may post to, below the service, with a body that is right."""

    @pytest.fixture
    def feature(self) -> Feature:
        """The feature."""
        raise NotImplementedError("say which feature it is: a fixture `feature`")

    @pytest.fixture
    def database(self, tmp_path: Path) -> str:
        """The URL of an empty database: a SQLite file, unless it is overridden."""
        return f"sqlite:///{tmp_path / 'feature.db'}"

    def _auth(self, database: str, *features: Feature) -> Auth:
        return Auth(database, secret=_SECRET, password_hasher=cheap_passwords(), features=features)

    async def test_it_is_a_feature(self, feature: Feature) -> None:
        """Its name and its tables are such as they may be, and what it shows of itself is short."""
        assert checked([feature]) == (feature,)
        assert len({act.name for act in feature.acts}) == len(feature.acts)

    async def test_its_tables_come_and_go(self, feature: Feature, database: str) -> None:
        """They are made, made again and removed, and made anew, while the core's stay; and it starts with them."""
        async with self._auth(database) as auth:
            account = await auth.accounts.register(_EMAIL, _PASSWORD)
            store = auth._running.store
            for _ in range(2):
                await ensure_tables([feature], store, migrate=True)
                await ensure_tables([feature], store, migrate=True)
                assert await remove_tables(feature, store) == (feature.tables is not None)
                assert not await remove_tables(feature, store)
            assert await auth.accounts.get(account.id) == account
        for _ in range(2):
            async with self._auth(database, feature):
                pass

    async def test_routes_that_are_off(self, feature: Feature, database: str) -> None:
        """Without the feature its routes are 404."""
        without = [Off(feature.name)] if feature.name in BUILT_IN else []
        async with self._auth(database, *without) as auth, _client(auth) as web:
            for path in self.routes:
                assert (await web.post(path, json={})).status_code == 404

    async def test_who_may(self, feature: Feature, database: str) -> None:
        """Nobody, and pages of other sites, are refused; what comes back is kept by no cache."""
        async with self._auth(database, feature) as auth, _client(auth) as web:
            account = await auth.accounts.register(_EMAIL, _PASSWORD)
            made = await auth.login(account.id, mode=Mode.SESSION)
            mine = {"cookie": f"__Host-coatcheck={made.session_token}"}
            for path, body in self.routes.items():
                assert (await web.post(path, json=dict(body))).status_code == 401
                foreign = mine | {"sec-fetch-site": "cross-site"}
                assert (await web.post(path, json=dict(body), headers=foreign)).status_code == 403
                answer = await web.post(path, json=dict(body), headers=mine)
                assert answer.status_code < 300, answer.text
                assert "no-store" in answer.headers["cache-control"]

    async def test_bodies_that_are_wrong(self, feature: Feature, database: str) -> None:
        """Unknown fields, other kinds, and what is no JSON are refused with a problem, and nothing is a 500."""
        async with self._auth(database, feature) as auth, _client(auth) as web:
            account = await auth.accounts.register(_EMAIL, _PASSWORD)
            made = await auth.login(account.id, mode=Mode.JWT)
            headers = {"authorization": f"Bearer {made.access_token}", "content-type": "application/json"}
            for path, body in self.routes.items():
                wrong: list[Any] = [{**body, "unknown_field": 1}, [], None, "text", 7]
                wrong += [{**body, name: {"another": "kind"}} for name in body]
                for content in (*(json.dumps(one).encode() for one in wrong), b"", b"{", b"\xff"):
                    answer = await web.post(path, content=content, headers=headers)
                    assert 400 <= answer.status_code < 500, (path, content)
                    assert answer.headers["content-type"] == "application/problem+json"

    async def test_its_upkeep(self, feature: Feature, database: str) -> None:
        """It may be called again and beside itself."""
        async with self._auth(database, feature) as auth:
            for _ in range(3):
                await feature.upkeep(auth)

    async def test_its_checks(self, feature: Feature, database: str) -> None:
        """In a fresh database all is well, and what is not would say what to do."""
        async with self._auth(database, feature) as auth:
            for finding in await feature.checks(auth):
                assert finding.well, finding.text
                assert finding.text


def _client(auth: Auth) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(auth_app(auth)), base_url="https://auth.example",
        headers={"sec-fetch-site": "same-origin"},
    )  # fmt: skip
