"""POST /introspect and /revoke, and the key set."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from coatcheck import Auth, ConfigurationError, Credentials, Mode, Policy
from coatcheck.service.app import auth_app
from tests.service.api.conftest import running
from tests.service.api.world import SERVICE_KEY, World, code

KEY = {"Authorization": f"Bearer {SERVICE_KEY}"}
INACTIVE = b'{"active":false}'


async def introspect(world: World, token: str | None) -> httpx.Response:
    async with world.client(browser=False) as client:
        return await client.post("/introspect", data={"token": token}, headers=KEY)


async def test_an_access_token(world: World) -> None:
    """RFC 7662 §2.2, from the claims."""
    await world.auth.accounts.set_roles(world.account.id, ["editor"])
    for mode in (Mode.JWT, Mode.JWT_COOKIE):
        credentials = await world.login(mode)
        response = await introspect(world, credentials.access_token)
        body = response.json()
        assert body["exp"] - body["iat"] == 900
        assert len(body.pop("jti")) > 16
        assert body == {
            "active": True, "token_type": "Bearer", "sub": world.account.id, "sid": credentials.session.id,
            "client_id": "coatcheck", "iss": "coatcheck", "aud": "coatcheck", "iat": body["iat"], "exp": body["exp"],
            "auth_time": int(credentials.session.authenticated), "amr": ["pwd"], "roles": ["editor"],
        }  # fmt: skip


async def test_opaque_tokens(world: World) -> None:
    """A session and a refresh token are active too, and say that they are no bearer tokens."""
    session, token = await world.login(), await world.login(Mode.JWT)
    found = (await introspect(world, session.session_token)).json()
    assert (found["active"], found["token_type"], found["sid"]) == (True, "session_token", session.session.id)
    found = (await introspect(world, token.refresh_token)).json()
    assert (found["active"], found["token_type"], found["sid"]) == (True, "refresh_token", token.session.id)


async def test_inactive(world: World) -> None:
    """Whatever the reason, the answer is the same bytes."""
    ended = [await world.login(mode) for mode in Mode]
    for credentials in ended:
        await world.auth.revoke(credentials.session.id)
    live = await world.login(Mode.JWT)
    session = await world.login()
    rotated = await world.login(Mode.JWT)
    await world.auth.refresh(rotated.refresh_token or "")
    stale = await world.login(Mode.JWT)
    tokens = [
        *(c.session_token or c.access_token for c in ended),
        *(c.refresh_token for c in ended if c.refresh_token),
        rotated.refresh_token,
        world.auth.opaque.refresh_token(session.session.id, 0),
        world.auth.opaque.csrf_token(session.session.id),
        session.session.id,
        f"{live.access_token}x", (live.access_token or "")[:-1], f" {live.access_token}", "nonsense", "ccs_", "ccr_x",
        "é", "\0", "x" * 20000, SERVICE_KEY,
    ]  # fmt: skip
    for token in tokens:
        assert (await introspect(world, token)).content == INACTIVE
    assert (await introspect(world, stale.access_token)).json()["active"] is True
    await world.auth.accounts.set_roles(world.account.id, ["editor"])
    assert (await introspect(world, stale.access_token)).content == INACTIVE


@pytest.mark.parametrize("policy", [Policy(audience="other"), Policy(issuer="other"), Policy(access_lifetime=60)])
async def test_foreign_tokens_are_inactive(gated: World, policy: Policy) -> None:
    """A token of the same key for another audience or issuer, or that lives too long, is not active."""
    credentials = await gated.login(Mode.JWT)
    async with Auth(gated.store, secret="a secret of the tests, 32 bytes or more", policy=policy) as other:
        from fastapi import FastAPI

        host = FastAPI(openapi_url=None)
        host.mount("/auth", auth_app(other, service_keys=[SERVICE_KEY]))
        there = World(auth=other, app=host, account=gated.account, contract=gated.contract)
        assert (await introspect(there, credentials.access_token)).content == INACTIVE


@pytest.mark.parametrize("headers", [
    {}, {"Authorization": f"Basic {SERVICE_KEY}"}, {"Authorization": ""},
    {"Cookie": f"__Host-coatcheck={SERVICE_KEY}"},
])  # fmt: skip
async def test_introspection_needs_a_key(gated: World, headers: dict[str, str]) -> None:
    """Without one there is no answer about any token, and no error code: nothing was presented (RFC 6750 §3.1)."""
    credentials = await gated.login(Mode.JWT)
    async with gated.client(browser=False) as client:
        response = await client.post("/introspect", data={"token": credentials.access_token}, headers=headers)
    assert code(response) == "401 invalid_service_key"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("given", [
    b"Bearer wrong", f"Bearer {SERVICE_KEY}x".encode(), f"Bearer {SERVICE_KEY[:-1]}".encode(), b"Bearer",
    b"Bearer \xe9",
])  # fmt: skip
async def test_a_wrong_key_is_refused(gated: World, given: bytes) -> None:
    """There is no answer about any token either, and the error code of a refused credential."""
    credentials = await gated.login(Mode.JWT)
    async with gated.client(browser=False) as client:
        response = await client.post(
            "/introspect", data={"token": credentials.access_token}, headers=[(b"Authorization", given)]
        )
    assert code(response) == "401 invalid_service_key"
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_user_is_no_service(world: World) -> None:
    """An access token, also an administrator's, does not open introspection."""
    await world.auth.accounts.set_roles(world.account.id, ["admin"])
    credentials = await world.login(Mode.JWT)
    async with world.holder(credentials) as client:
        response = await client.post("/introspect", data={"token": credentials.access_token})
    assert code(response) == "401 invalid_service_key"


async def test_without_keys_nobody_introspects(gated: World) -> None:
    """An application without service keys refuses every one, the empty one too."""
    from fastapi import FastAPI

    host = FastAPI(openapi_url=None)
    host.mount("/auth", auth_app(gated.auth))
    there = World(auth=gated.auth, app=host, account=gated.account, contract=gated.contract)
    assert code(await introspect(there, "x")) == "401 invalid_service_key"


@pytest.mark.parametrize("keys", [["short"], ["x" * 32, "x" * 31], [""], "x" * 32])
def test_weak_service_keys_are_refused_at_the_start(keys: Any) -> None:
    """A key has 32 characters at least, and keys are a list; the text of the error holds none of them."""
    with pytest.raises(ConfigurationError) as raised:
        auth_app(Auth("memory://"), service_keys=keys)
    assert "xxxx" not in str(raised.value)


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
@pytest.mark.parametrize(("content", "kind", "expected"), [
    (b"", "application/x-www-form-urlencoded", "400 invalid_request"),
    (b"token=", "application/x-www-form-urlencoded", "400 invalid_request"),
    (b"token=a&token=b", "application/x-www-form-urlencoded", "400 invalid_request"),
    (b"\xff=\xfe", "application/x-www-form-urlencoded", "400 invalid_request"),
    (b"token=%ff", "application/x-www-form-urlencoded", "400 invalid_request"),
    (b"&".join(b"%d=" % n for n in range(50)), "application/x-www-form-urlencoded", "400 invalid_request"),
    (b'{"token":"x"}', "application/json", "415 wrong_content_type"),
    (b"token=x", "text/plain", "415 wrong_content_type"),
])  # fmt: skip
async def test_bad_forms(gated: World, path: str, content: bytes, kind: str, expected: str) -> None:
    """RFC 6749 §5.2: a parameter that is missing or there twice is 400."""
    async with gated.client(browser=False) as client:
        response = await client.post(path, content=content, headers=KEY | {"Content-Type": kind})
    assert code(response) == expected


async def test_unknown_parameters_are_ignored(world: World) -> None:
    """RFC 7009 and 7662 say so, and a wrong hint does not matter."""
    credentials = await world.login(Mode.JWT)
    async with world.client(browser=False) as client:
        data = {"token": credentials.access_token, "token_type_hint": "refresh_token", "resource": "x"}
        assert (await client.post("/introspect", data=data, headers=KEY)).json()["active"] is True


async def revoke(world: World, token: str | None, **headers: str) -> httpx.Response:
    async with world.client(browser=False) as client:
        return await client.post("/revoke", data={"token": token}, headers=headers)


@pytest.mark.parametrize("kind", ["session_token", "refresh_token"])
async def test_revoking_ends_the_session(world: World, kind: str) -> None:
    """Whoever holds a session or refresh token can end its session, and with it every access token."""
    credentials = await world.login(Mode.SESSION if kind == "session_token" else Mode.JWT)
    other = await world.login()
    assert await world.is_live(credentials)
    response = await revoke(world, getattr(credentials, kind))
    assert (response.status_code, response.content) == (200, b"")
    assert not await world.is_live(credentials)
    assert await world.is_live(other)
    assert (await revoke(world, getattr(credentials, kind))).status_code == 200


async def test_revoking_an_access_token_ends_only_that(world: World) -> None:
    """Its session and the next access token live on."""
    credentials = await world.login(Mode.JWT)
    assert await world.is_live(credentials)
    assert (await revoke(world, credentials.access_token)).status_code == 200
    assert not await world.is_live(credentials)
    renewed: Credentials = await world.auth.refresh(credentials.refresh_token or "")
    assert await world.is_live(renewed)


async def test_revoking_again_writes_nothing(gated: World) -> None:
    """Nobody fills the feed with one token."""
    credentials = await gated.login(Mode.JWT)
    for _ in range(3):
        assert (await revoke(gated, credentials.access_token)).status_code == 200
    assert gated.store.calls["revoke_token"] == 1


@pytest.mark.parametrize("token", ["nonsense", "ccs_x", "ccr_x", "a.b.c", "A" * 24])
async def test_revoking_what_is_unknown(gated: World, token: str) -> None:
    """RFC 7009 §2.2: 200, and the store is not asked to end anything."""
    assert (await revoke(gated, token)).status_code == 200
    assert gated.store.calls["revoke"] + gated.store.calls["revoke_token"] == 0


async def test_revoking_with_a_wrong_key(world: World) -> None:
    """No key is needed, but a wrong one is refused and the token lives on."""
    credentials = await world.login(Mode.JWT)
    assert code(await revoke(world, credentials.refresh_token, authorization="Bearer x")) == "401 invalid_service_key"
    assert await world.is_live(credentials)
    assert (
        await revoke(world, credentials.refresh_token, **{"authorization": KEY["Authorization"]})
    ).status_code == 200
    assert not await world.is_live(credentials)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA", "Ed25519", "HS256"])
async def test_the_key_set_is_public(algorithm: str) -> None:
    """Public members only, a unique kid each, cacheable for less than a new key's lead; never a shared secret."""
    async with running("memory://", policy=Policy(signing_algorithm=algorithm)) as world, world.client() as client:
        response = await client.get("/.well-known/jwks.json")
        keys = response.json()["keys"]
        assert response.headers["cache-control"] == "public, max-age=300"
        assert "vary" not in response.headers
        assert len(keys) == (0 if algorithm == "HS256" else 1)
        for key in keys:
            assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)
            assert (key["use"], bool(key["kid"])) == ("sig", True)
        if keys:
            await world.auth.keys.rotate()
            kids = [key["kid"] for key in (await client.get("/.well-known/jwks.json")).json()["keys"]]
            assert len(set(kids)) == 2
