"""Every security-relevant act leaves a record that says what was done, to whom, by whom and from where."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from coatcheck import Auth, Mode, Policy
from coatcheck import acts as names
from coatcheck.errors import InvalidCredential
from coatcheck.model import Account
from coatcheck.service.app import auth_app
from coatcheck.testing.clock import TravelClock
from tests.docs.test_facts import rows_of
from tests.service.api.world import SERVICE_KEY
from tests.service.visitor import EMAIL, OTHER, PASSWORD, Visitor, make_auth

IP = "192.0.2.1"
OWN = {"sec-fetch-site": "same-origin"}
BOB = "bob@lovelace.example"


class Scene:
    """A service, an administrator and somebody else, each with a client, and the log."""

    def __init__(self, auth: Auth, caplog: pytest.LogCaptureFixture) -> None:
        self.auth = auth
        self.app = auth_app(auth, service_keys=[SERVICE_KEY])
        self.log = caplog
        self.seen: set[str] = set()
        self.admin: Account
        self.bob: Account

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(IP, 4321))
        return httpx.AsyncClient(transport=transport, base_url="https://auth.test", headers=OWN | headers)

    async def holder(self, account: Account, mode: Mode = Mode.JWT) -> httpx.AsyncClient:
        made = await self.auth.login(account.id, mode=mode)
        return self.client(authorization=f"Bearer {made.access_token}")

    def clear(self) -> None:
        self.log.clear()

    def record(self, act: str, **expected: str) -> logging.LogRecord:
        """The one record of this act since the last `clear`, which says all this."""
        found = [one for one in self.log.records if getattr(one, "event", one.getMessage()) == act]
        assert len(found) == 1, [one.getMessage() for one in self.log.records]
        said = vars(found[0])
        assert {name: said.get(name) for name in expected} == expected
        self.seen.add(act)
        return found[0]


@pytest.fixture
async def scene(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Scene]:
    caplog.set_level(logging.INFO, logger="coatcheck")
    clock = TravelClock()
    async with make_auth(clock, policy=Policy(sessions_per_subject=3)) as auth:
        scene = Scene(auth, caplog)
        scene.admin = await auth.accounts.register(EMAIL, PASSWORD, roles=["admin"])
        scene.bob = await auth.accounts.register(BOB, PASSWORD)
        yield scene


async def administering(scene: Scene) -> None:
    admin, of_bob = await scene.holder(scene.admin), f"/admin/subjects/{scene.bob.id}"
    by = {"by": scene.admin.id, "ip": IP}
    for body, act in (
        ({"roles": ["editor"]}, "account.roles_set"), ({"status": "disabled"}, "account.disabled"),
        ({"status": "active"}, "account.enabled"),
    ):  # fmt: skip
        scene.clear()
        assert (await admin.patch(of_bob, json=body)).status_code == 200
        scene.record(act, subject=scene.bob.id, **by)
        scene.record("subject.cut_off" if act == "account.disabled" else "subject.changed", subject=scene.bob.id, **by)
    scene.clear()
    assert (await admin.post(f"{of_bob}/logout")).status_code == 204
    scene.record("subject.cut_off", subject=scene.bob.id, **by)
    scene.clear()
    assert (await admin.post("/admin/invitations", json={"email": "eve@lovelace.example"})).status_code == 201
    scene.record("account.invited", email="eve@lovelace.example", **by)
    scene.clear()
    assert (await admin.patch(f"/admin/subjects/{scene.admin.id}", json={"roles": []})).status_code == 409
    scene.record("admin.refused", **by)
    for client, status, more in (
        (await scene.holder(scene.bob), 403, {"by": scene.bob.id}),
        (scene.client(), 401, {}),
        (scene.client(authorization="Bearer nonsense"), 401, {}),
    ):
        scene.clear()
        assert (await client.patch(of_bob, json={"roles": ["admin"]})).status_code == status
        record = scene.record("admin.refused", route="/admin/subjects/{id}", method="PATCH", ip=IP, **more)
        assert record.levelno == logging.WARNING


async def service_keys(scene: Scene) -> None:
    for method, path in (("POST", "/introspect"), ("GET", "/events"), ("GET", "/metrics")):
        for headers in ({}, {"authorization": "Bearer not-one-of-the-keys-0123456789abc"}):
            scene.clear()
            answer = await scene.client(**headers).request(method, path)
            assert answer.status_code == 401
            record = scene.record("service_key.refused", route=path, ip=IP)
            assert "0123456789abc" not in str(vars(record))


async def refreshing(scene: Scene) -> None:
    made = await scene.auth.login(scene.bob.id, mode=Mode.JWT)
    session, client = made.session.id, scene.client()

    async def refresh(token: str, status: int) -> Any:
        scene.clear()
        answer = await client.post("/refresh", json={"refresh_token": token})
        assert answer.status_code == status
        return answer.json()

    first = made.refresh_token or ""
    second = (await refresh(first, 200))["refresh_token"]
    scene.record("session.refreshed", subject=scene.bob.id, session=session, ip=IP)
    await refresh(f"{second[:-1]}{'A' if second[-1] != 'A' else 'B'}", 401)
    scene.record("refresh.refused", ip=IP)
    await refresh(second, 200)
    await refresh(first, 401)
    scene.record("refresh.reused", subject=scene.bob.id, session=session, ip=IP)
    await refresh(second, 401)
    scene.record("refresh.refused", session=session, ip=IP)
    scene.clear()
    jar = {"cookie": "__Secure-coatcheck-refresh=ccr_nonsense"}
    assert (await client.post("/refresh", headers=jar)).status_code == 401
    scene.record("refresh.refused", ip=IP)
    scene.clear()
    with pytest.raises(InvalidCredential):
        await scene.auth.refresh("ccr_nonsense")
    scene.record("refresh.refused")


async def ending(scene: Scene) -> None:
    made = await scene.auth.login(scene.bob.id, mode=Mode.JWT)
    bob = scene.client(authorization=f"Bearer {made.access_token}")
    scene.clear()
    assert (await scene.client().post("/revoke", data={"token": made.access_token})).status_code == 200
    scene.record("token.revoked", session=made.session.id, ip=IP)
    bob = await scene.holder(scene.bob)
    scene.clear()
    assert (await bob.delete(f"/sessions/{made.session.id}")).status_code == 204
    scene.record("session.ended", subject=scene.bob.id, session=made.session.id, by=scene.bob.id, ip=IP)
    scene.clear()
    assert (await bob.post("/logout/others")).status_code == 204
    scene.record("subject.cut_off", subject=scene.bob.id, by=scene.bob.id, ip=IP)
    scene.clear()
    assert (await bob.post("/logout")).status_code == 204
    scene.record("session.ended", subject=scene.bob.id, ip=IP)
    scene.clear()
    for _ in range(4):
        await scene.auth.login(scene.bob.id)
    scene.record("session.ended", subject=scene.bob.id)


async def entering(scene: Scene) -> None:
    client, body = scene.client(), {"email": BOB, "password": PASSWORD}
    scene.clear()
    assert (await client.post("/login", json=body)).status_code == 200
    scene.record("login.proved", subject=scene.bob.id, ip=IP)
    scene.record("session.started", subject=scene.bob.id, ip=IP)
    scene.clear()
    assert (await client.post("/login", json=body | {"password": "wrong"})).status_code == 401
    scene.record("login.refused", subject=scene.bob.id, ip=IP)
    for taken, act in (("new@lovelace.example", "account.registered"), (BOB, "account.refused")):
        scene.clear()
        await client.post("/register", json=body | {"email": taken})
        scene.record(act, email=taken, ip=IP)
    scene.clear()
    await client.post("/register", json=body | {"email": "x@lovelace.example", "invitation": "cci_made_up"})
    scene.record("account.refused", ip=IP)
    scene.clear()
    await client.post("/login", json=body, headers={"sec-fetch-site": "cross-site"})
    scene.record("cross_site.refused", route="/login", ip=IP)
    scene.clear()
    assert (await scene.client(authorization="Bearer nonsense").get("/session")).status_code == 401
    scene.record("credential.refused")


async def oneself(scene: Scene) -> None:
    client = await scene.holder(scene.bob)
    scene.clear()
    answer = await client.post("/password", json={"current_password": PASSWORD, "new_password": OTHER})
    assert answer.status_code == 200
    scene.record("password.changed", subject=scene.bob.id, by=scene.bob.id, ip=IP)
    scene.clear()
    await scene.auth.accounts.set_password(scene.bob.id, PASSWORD)
    scene.record("password.set", subject=scene.bob.id)


async def keys(scene: Scene) -> None:
    scene.clear()
    kid = await scene.auth.keys.rotate(at_once=True)
    scene.record("key.added", kid=kid)
    await scene.auth.keys.withdraw(kid)
    scene.record("key.withdrawn", kid=kid)


ACTS: list[Callable[[Scene], Any]] = [administering, service_keys, refreshing, ending, entering, oneself, keys]


@pytest.mark.parametrize("acts", ACTS, ids=lambda acts: acts.__name__)
async def test_every_act_leaves_its_record(scene: Scene, acts: Callable[[Scene], Any]) -> None:
    """What was done, to whom, by whom and from where."""
    await acts(scene)


async def test_every_name_is_met(scene: Scene) -> None:
    """Each name of the list is of an act of this page, but for those of imports, trading in, steps and
    connections."""
    for acts in ACTS:
        await acts(scene)
    elsewhere = {"account.adopted", "former.traded_in", "former.refused", "connection.ended"}
    elsewhere |= {"login.step_required", "login.step_passed"}
    assert scene.seen == {act.name for act in names.ACTS} - elsewhere


def test_the_documented_names_are_these() -> None:
    """events.md has every name, with its level, its meaning and its details, and no other."""
    documented = [tuple(row) for row in rows_of("events.md", 4) if row[0].startswith("`")]
    assert documented == [
        (
            f"`{act.name}`",
            "warning" if act.refused else "info",
            act.meaning,
            ", ".join(f"`{one}`" for one in act.details),
        )
        for act in names.ACTS
    ]


async def test_who_asked_is_forgotten_with_the_request(scene: Scene) -> None:
    """What is done after a request, in the same task, is not said to be by whoever asked last."""
    admin = await scene.holder(scene.admin)
    await admin.get("/session")
    scene.clear()
    await scene.auth.accounts.set_roles(scene.bob.id, ["editor"])
    record = scene.record("account.roles_set", subject=scene.bob.id)
    assert not hasattr(record, "by")
    assert not hasattr(record, "ip")


async def test_the_pages_say_who_too(scene: Scene) -> None:
    """Ending a device on the page names the person and their address."""
    phone = await scene.auth.login(scene.bob.id, mode=Mode.JWT)
    visitor = Visitor(scene.auth)
    await visitor.log_in(BOB)
    page = await visitor.get("/auth/devices")
    scene.clear()
    await visitor.submit(page.form(f"/auth/devices/{phone.session.id}/logout"))
    scene.record("session.ended", session=phone.session.id, subject=scene.bob.id, by=scene.bob.id, ip=IP)
    scene.clear()
    await visitor.post(f"/auth/devices/{phone.session.id}/logout", {"csrf_token": "ccf_nonsense"})
    scene.record("cross_site.refused", by=scene.bob.id, ip=IP)
