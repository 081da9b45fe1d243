"""Who may register: everybody, who was invited, or nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from coatcheck import Auth, Policy
from coatcheck.errors import ConfigurationError, InvalidEmail, Rejected
from coatcheck.service.settings import load
from coatcheck.testing.clock import TravelClock
from tests.service.visitor import EMAIL, OWN, PASSWORD, Visitor, make_auth

ANN = {"email": "ann@lovelace.example", "password": PASSWORD}
JSON = {"accept": "application/json"}


@asynccontextmanager
async def running(registration: Any, clock: TravelClock | None = None) -> AsyncIterator[tuple[Auth, httpx.AsyncClient]]:
    async with make_auth(clock or TravelClock(), policy=Policy(registration=registration)) as auth:
        yield auth, Visitor(auth).http


async def administrator(auth: Auth) -> httpx.AsyncClient:
    await auth.accounts.register(EMAIL, PASSWORD, roles=["admin"])
    visitor = Visitor(auth)
    await visitor.log_in()
    return visitor.http


async def test_closed() -> None:
    """Nobody makes an account: neither the route nor the page is there, nothing links to it, and there is no inviting;
    an operator still does."""
    async with running("closed") as (auth, client):
        assert (await client.post("/auth/register", json=ANN, headers=JSON)).status_code == 404
        assert (await client.get("/auth/signup")).status_code == 404
        assert (await client.post("/auth/signup", data=ANN)).status_code in (404, 405)
        assert "signup" not in (await client.get("/auth/login")).text
        admin = await administrator(auth)
        invited = await admin.post("/auth/admin/invitations", json={"email": ANN["email"]}, headers=JSON)
        assert invited.status_code == 404
        document = (await client.get("/auth/openapi.json")).json()
        assert "/register" not in document["paths"]
        page = await auth.accounts.page()
        assert [account.email for account in page.accounts] == [EMAIL]


@pytest.mark.parametrize("way", ["json", "page"])
async def test_by_invitation(way: str) -> None:
    """Without an invitation nobody makes an account; with one, whoever has its address does, once, with its roles."""
    async with running("invited") as (auth, client):
        admin = await administrator(auth)
        made = await admin.post("/auth/admin/invitations", json={"email": "Ann@Lovelace.example", "roles": ["editor"]})
        assert made.status_code == 201
        invitation = made.json()["invitation"]
        assert "signup" not in (await client.get("/auth/login")).text

        async def register(**more: str) -> int:
            if way == "json":
                return (await client.post("/auth/register", json=ANN | more, headers=JSON)).status_code
            client.cookies.clear()
            return (await client.post("/auth/signup", data=ANN | more, headers=OWN)).status_code

        others = {"email": "bob@lovelace.example", "invitation": invitation}
        for wrong in ({}, {"invitation": "cci_nonsense"}, {"invitation": f"{invitation[:-1]}_"}, others):
            assert await register(**wrong) == 403
        assert await register(invitation=invitation) in (201, 303)
        assert await register(invitation=invitation) == 409
        account = await auth.accounts.find_by_email(ANN["email"])
        assert account is not None
        assert account.roles == {"editor"}
        assert len((await auth.accounts.page()).accounts) == 2


async def test_the_page_of_an_invitation() -> None:
    """Its link shows the form with the address in it; without one, or once it has ended, the page says why not."""
    clock = TravelClock()
    async with running("invited", clock) as (auth, _):
        visitor = Visitor(auth)
        text = auth.invite(ANN["email"])
        page = await visitor.get("/auth/signup", params={"invitation": text})
        form = page.form("/auth/signup")
        assert form.fields["email"] == ANN["email"]
        page = await visitor.submit(form, password="short")
        form = page.form("/auth/signup")
        assert form.fields["invitation"] == text
        for query in ({}, {"invitation": "cci_made_up"}):
            page = await visitor.get("/auth/signup", params=query)
            assert visitor.response.status_code == 403
            assert "By invitation only" in page.text
        clock.advance(8 * 86400)
        page = await visitor.submit(form, password=PASSWORD)
        assert "By invitation only" in page.text
        assert not (await auth.accounts.page()).accounts


async def test_open() -> None:
    """Everybody registers, and an invitation gives its roles there as well; one that is no good is not passed over."""
    async with running("open") as (auth, client):
        assert (await client.post("/auth/register", json=ANN, headers=JSON)).status_code == 201
        bob = {"email": "bob@lovelace.example", "password": PASSWORD}
        text = auth.invite(bob["email"], roles=["editor"])
        assert (await client.post("/auth/register", json=bob | {"invitation": "x"}, headers=JSON)).status_code == 403
        answer = await client.post("/auth/register", json=bob | {"invitation": text}, headers=JSON)
        assert answer.json()["subject"]["roles"] == ["editor"]


async def test_inviting_is_for_administrators() -> None:
    """Nobody else invites, and what cannot be one is refused."""
    async with running("invited") as (auth, client):
        body = {"email": ANN["email"], "roles": ["admin"]}
        assert (await client.post("/auth/admin/invitations", json=body, headers=JSON)).status_code == 401
        await auth.accounts.register(EMAIL, PASSWORD)
        visitor = Visitor(auth)
        await visitor.log_in()
        answer = await visitor.http.post("/auth/admin/invitations", json=body, headers=JSON)
        assert answer.status_code == 403
        for email, more, error in (
            ("nobody", {}, InvalidEmail), (EMAIL, {"roles": ["Admin"]}, Rejected), (EMAIL, {"lifetime": 1e9}, Rejected)
        ):  # fmt: skip
            with pytest.raises(error):
                auth.invite(email, **more)


async def test_an_invitation_is_of_this_deployment() -> None:
    """One made under another secret is none here."""
    async with running("invited") as (_, client):
        async with Auth("memory://", policy=Policy(registration="invited")) as other:
            text = other.invite(ANN["email"])
        assert (await client.post("/auth/register", json=ANN | {"invitation": text}, headers=JSON)).status_code == 403


def test_the_setting() -> None:
    """It is read as every other of the policy, and a word that is none is refused."""
    assert load({}, {}).policy.registration == "open"
    assert load({}, {"COATCHECK_POLICY_REGISTRATION": "closed"}).policy.registration == "closed"
    with pytest.raises(ConfigurationError, match="COATCHECK_POLICY_REGISTRATION"):
        load({}, {"COATCHECK_POLICY_REGISTRATION": "invite"})
