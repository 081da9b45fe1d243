"""`RemoteVerifier` against a real service over HTTP: what holds for an `Auth` holds for it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest

from coatcheck import ConfigurationError, InvalidCredential, Mode, Policy, RemoteVerifier, StoreUnavailable, bearer
from coatcheck.clock import Clock
from coatcheck.errors import ForgedCredential, MalformedCredential, RevokedCredential, StaleCredential
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock
from tests.support.gates import GatedStore
from tests.support.issuer import SERVICE_KEY, issuing, old_store, presented, until
from tests.support.proxy import Mode as Line
from tests.support.proxy import proxy

JWKS = "/auth/.well-known/jwks.json"
TOKENS = pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE])


@TOKENS
async def test_identity_and_revocation(mode: Mode) -> None:
    """A token is known with its roles, from memory the second time, and no more once its session has been revoked."""
    async with issuing(roles={"ann": frozenset({"editor"})}) as issuer, issuer.remote() as remote:
        made, credential = await issuer.login(mode)
        identity = await remote.verify(credential)
        assert identity == await issuer.auth.verify(credential)
        assert identity.roles == {"editor"}
        assert remote.known(credential.key) is identity
        await issuer.auth.revoke(made.session.id)
        await until(lambda: remote.known(credential.key) is None)
        with pytest.raises(RevokedCredential):
            await remote.verify(credential)


async def test_everything_that_ends_a_token() -> None:
    """Cut off, changed, revoked alone: each is refused as beside the store; the excepted session goes on."""
    async with issuing() as issuer, issuer.remote() as remote:
        kept, kept_credential = await issuer.login()
        _, cut = await issuer.login()
        for credential in (kept_credential, cut):
            await remote.verify(credential)
        await issuer.auth.revoke_subject("ann", excepted=kept.session.id)
        await until(lambda: remote.known(cut.key) is None)
        with pytest.raises(RevokedCredential):
            await remote.verify(cut)
        assert (await remote.verify(kept_credential)).subject == "ann"
        await issuer.store.step_version("ann", now=issuer.auth.clock.now())
        await until(lambda: remote.known(kept_credential.key) is None)
        with pytest.raises(StaleCredential):
            await remote.verify(kept_credential)
        renewed = presented(await issuer.auth.refresh(kept.refresh_token or ""))
        await remote.verify(renewed)
        claims = issuer.auth.access_tokens.read(renewed.token, now=issuer.auth.clock.now())
        await issuer.auth.revocation.revoke_token(claims.sid, claims.jti)
        await until(lambda: remote.known(renewed.key) is None)
        with pytest.raises(RevokedCredential):
            await remote.verify(renewed)


async def test_revoked_before_its_first_sight() -> None:
    """What was revoked before this process started, or before it saw the token, is refused."""
    async with issuing() as issuer:
        early, early_credential = await issuer.login()
        await issuer.auth.revoke(early.session.id)
        async with issuer.remote() as remote:
            late, late_credential = await issuer.login()
            await issuer.auth.revoke(late.session.id)
            await remote.follower.catch_up()
            for credential in (early_credential, late_credential):
                with pytest.raises(RevokedCredential):
                    await remote.verify(credential)


async def test_session_tokens_are_refused() -> None:
    """They cannot be verified without the secret, and asking nobody."""
    async with issuing() as issuer, issuer.remote() as remote:
        _, credential = await issuer.login(Mode.SESSION)
        with pytest.raises(MalformedCredential, match="issuing service only"):
            await remote.verify(credential)
        assert "/auth/introspect" not in issuer.asked


@pytest.mark.parametrize(
    "policy", [Policy(audience="other"), Policy(issuer="other"), Policy(access_lifetime=60)], ids=lambda p: p.audience
)
async def test_tokens_for_others_are_refused(policy: Policy) -> None:
    """Issuer, audience and lifetime are this service's own to decide."""
    async with issuing() as issuer, issuer.remote(policy=policy) as remote:
        _, credential = await issuer.login()
        with pytest.raises(InvalidCredential):
            await remote.verify(credential)


async def test_lapsed_lease_asks_and_silence_refuses() -> None:
    """While the line swallows everything memory serves as long as the lease; then 503, until the line is back."""
    travel = TravelClock()
    async with issuing() as issuer:
        with proxy(issuer.port) as line:
            url = f"http://127.0.0.1:{line.port}/auth"
            clock = Clock(monotonic=travel.monotonic)
            async with issuer.remote(url, timeout=0.2, clock=clock) as remote:
                made, credential = await issuer.login()
                await remote.verify(credential)
                line.set(Line.SWALLOW)
                await issuer.auth.revoke(made.session.id)
                deadline = remote.follower.lease.deadline
                assert deadline <= travel.monotonic() + 2
                travel.advance(deadline - travel.monotonic() - 0.001)
                assert remote.known(credential.key) is not None, "inside the bound it serves"
                travel.advance(0.001)
                assert remote.known(credential.key) is None
                with pytest.raises(StoreUnavailable):
                    await remote.verify(credential)
                line.set(Line.RESET)
                with pytest.raises(StoreUnavailable):
                    await remote.verify(credential)
                line.set(Line.PASS)
                with pytest.raises(RevokedCredential):
                    await remote.verify(credential)


async def test_lease_runs_from_before_the_request() -> None:
    """An answer that took long extends the lease from when it was asked for."""
    travel = TravelClock()
    async with issuing() as issuer, issuer.remote(clock=Clock(monotonic=travel.monotonic)) as remote:
        gate = issuer.store.hold_after("events")
        asked = asyncio.create_task(remote.follower._read())
        await gate.reached()
        travel.advance(1.5)
        gate.open()
        await asked
        assert remote.follower.lease.deadline <= 2.0


async def test_the_shorter_staleness_counts() -> None:
    """Whichever of the two promises less, also when the issuing service's changes later."""
    for own, issuers, expected in ((2.0, 0.5, 0.5), (0.5, 2.0, 0.5)):
        travel = TravelClock()
        async with (
            issuing(policy=Policy(max_staleness=issuers)) as issuer,
            issuer.remote(policy=Policy(max_staleness=own), clock=Clock(monotonic=travel.monotonic)) as remote,
        ):
            assert remote.follower.lease.deadline == expected
            issuer.auth.policy = replace(issuer.auth.policy, max_staleness=0.75)
            travel.advance(10)
            await remote.follower.catch_up()
            assert remote.follower.lease.deadline == 10 + min(own, 0.75)


async def test_feed_lost_and_rebuilt() -> None:
    """When the issuing service's store comes back empty, memory counts no more, and what is older is asked about."""
    store = GatedStore(old_store())
    async with issuing(store) as issuer, issuer.remote() as remote:
        made, credential = await issuer.login()
        await remote.verify(credential)
        other, fresh = await issuer.login(subject="bob"), MemoryStore()
        old, era = store._store, remote.follower.era
        for key in await old.keys():
            await fresh.add_key(key, expected=[])
        fresh._sessions = {other[0].session.id: other[0].session}
        fresh._feed.since = fresh._wall() + 5  # a read of the old one may still be on its way
        store._store = fresh
        await until(lambda: remote.follower.era > era and remote.follower.is_live())
        assert remote.known(credential.key) is None
        with pytest.raises(RevokedCredential):
            await remote.verify(credential)
        assert (await remote.verify(other[1])).subject == "bob"
        assert issuer.asked["/auth/introspect"] == 2
        assert remote.known(other[1].key) is not None
        assert made.session.id not in fresh._sessions


async def test_introspection_is_no_memory() -> None:
    """What is asked about is read from the store, though the issuing process still has it in memory."""
    async with issuing() as issuer, issuer.remote() as remote:
        made, credential = await issuer.login()
        await issuer.auth.verify(credential)
        gate = issuer.store.hold_before("events")
        await gate.reached()
        await issuer.auth.follower.stop()  # from here on it learns nothing, and holds its memory for good
        issuer.auth.follower.lease.deadline = float("inf")
        await issuer.store.revoke(made.session.id, now=issuer.auth.clock.now())
        assert issuer.auth.known(credential.key) is not None
        with pytest.raises(RevokedCredential):
            await remote._running.verifier._service.check(credential.token, subject="ann", session_id=made.session.id)


@pytest.mark.parametrize("at_once", [True, False])
async def test_rotated_keys(at_once: bool) -> None:
    """A new key is known before its first token; a withdrawn one at once no more."""
    async with issuing() as issuer, issuer.remote() as remote:
        _, old = await issuer.login()
        await remote.verify(old)
        (first,) = issuer.auth.access_tokens.keyring.keys
        kid = await issuer.auth.keys.rotate(at_once=at_once)
        keyring = remote._running.verifier._access
        await until(lambda: kid in str(keyring.keyring))
        _, new = await issuer.login()
        for credential in (new, old):
            await remote.verify(credential)
        await issuer.auth.keys.withdraw(first.kid)
        await until(lambda: first.kid not in str(keyring.keyring) and remote.known(old.key) is None)
        with pytest.raises(ForgedCredential):
            await remote.verify(old)


async def test_keys_before_the_lease() -> None:
    """When a key change is read and the keys cannot be, the lease is not extended."""
    travel = TravelClock()
    async with issuing() as issuer, issuer.remote(clock=Clock(monotonic=travel.monotonic)) as remote:
        _, credential = await issuer.login()
        await remote.verify(credential)
        issuer.store.fail("keys")
        await issuer.store.announce_keys(now=issuer.auth.clock.now())
        asked = issuer.asked[JWKS]
        await until(lambda: issuer.asked[JWKS] > asked + 1)
        travel.advance(2.0)
        with pytest.raises(StoreUnavailable):
            await remote.verify(credential)
        issuer.store.fail()
        assert (await remote.verify(credential)).subject == "ann"


async def test_keys_are_the_stores() -> None:
    """The keys that a remote verifier gets are read from the store, not what the answering process remembers."""
    async with issuing() as issuer, issuer.remote() as remote:
        (key,) = await issuer.store.keys()
        hold = issuer.store.hold_before("events")
        await hold.reached()
        await issuer.auth.follower.stop()
        another = await other_key(issuer.auth)
        await issuer.store.add_key(another, expected=[key.kid])
        await remote._running.keys.load()
        assert another.kid in str(remote._running.verifier._access.keyring)


async def other_key(auth: Any) -> Any:
    """A sealed key that another process of the issuing service has made."""
    store = MemoryStore()
    async with type(auth)(store, secret="a secret of the tests, 32 bytes or more"):
        (key,) = await store.keys()
    return replace(key, created=key.created + 1, signs_from=key.signs_from + 1)


async def test_flood_of_unknown_headers() -> None:
    """Any number of them costs one question for keys, shared, and then none until the cooldown is over."""
    travel = TravelClock()
    clock = Clock(monotonic=travel.monotonic)
    async with issuing() as issuer, issuer.remote(clock=clock) as remote:
        _, credential = await issuer.login()
        _, payload, signature = credential.token.split(".")
        asked = issuer.asked[JWKS]
        for expected in (1, 2):
            for _ in range(3):
                flood = (remote.verify(bearer(f"{number:x}.{payload}.{signature}")) for number in range(100))
                found = await asyncio.gather(*flood, return_exceptions=True)
                assert {type(error) for error in found} == {ForgedCredential}
            assert issuer.asked[JWKS] - asked == expected
            travel.advance(10.0)


async def test_unknown_key_that_the_feed_has_not_told() -> None:
    """One question for keys, and the token is looked at once more."""
    async with issuing() as issuer, issuer.remote() as remote:
        hold = issuer.store.hold_before("events")
        await hold.reached()
        (key,) = await issuer.store.keys()
        await issuer.store.add_key(await other_key(issuer.auth), expected=[key.kid])
        await issuer.auth.keys.load()
        issuer.auth.clock.wall = lambda: 0.0
        signer = issuer.auth.access_tokens.keyring.keys[-1]
        issuer.auth.access_tokens.keyring = type(issuer.auth.access_tokens.keyring)([replace(signer, signs_from=0.0)])
        _, credential = await issuer.login()
        assert (await remote.verify(credential)).subject == "ann"
        hold.open()


async def test_forged_tokens_cost_nothing() -> None:
    """A known header with a wrong signature, or what is no token, is refused without a question to anybody."""
    async with issuing() as issuer, issuer.remote() as remote:
        _, credential = await issuer.login()
        header, payload, signature = credential.token.split(".")
        remote.follower.lease.deadline = float("inf")
        before = {path: count for path, count in issuer.asked.items() if path != "/auth/events"}
        for token in (
            f"{header}.{payload}.{signature[::-1]}", f"{header}.{payload}", f"x.{payload}.{signature}.", "x" * 9000,
            f"x.{'y' * 9000}.z", "", "ccs_nonsense",
        ):  # fmt: skip
            with pytest.raises(InvalidCredential):
                await remote.verify(bearer(token))
        assert {path: count for path, count in issuer.asked.items() if path != "/auth/events"} == before


async def test_unknown_key_while_nobody_answers() -> None:
    """It cannot be known whether the token counts, so that is what is said."""
    async with issuing() as issuer, issuer.remote() as remote:
        _, credential = await issuer.login()
        issuer.store.fail("keys")
        with pytest.raises(StoreUnavailable):
            await remote.verify(bearer(f"x{credential.token}"))


async def test_start_without_service() -> None:
    """Start raises, says what is wrong when it is the configuration, and leaves nothing open."""
    async with issuing() as issuer:
        wrong = RemoteVerifier(issuer.url, service_key="x" * 32)
        with pytest.raises(ConfigurationError, match="service key"):
            await wrong.start()
        with pytest.raises(ConfigurationError, match="URL"):
            await issuer.remote(f"http://127.0.0.1:{issuer.port}/elsewhere").start()
        assert not wrong.is_running
        issuer.store.fail("events")
        with pytest.raises(StoreUnavailable):
            await issuer.remote().start()
        port = issuer.port
    remote = RemoteVerifier(f"http://127.0.0.1:{port}/auth", service_key=SERVICE_KEY)
    with pytest.raises(StoreUnavailable):
        await remote.start()
    with pytest.raises(RuntimeError, match=r"lifespan=remote\.lifespan"):
        remote.known(b"x")


async def test_shared_secret_has_no_public_key() -> None:
    """With HS256 there is nothing to verify with elsewhere, and start says so."""
    async with issuing(policy=Policy(signing_algorithm="HS256")) as issuer:
        with pytest.raises(ConfigurationError, match="keys cannot be used"):
            await issuer.remote().start()


@pytest.mark.parametrize("url", [
    "http://auth.example.com/auth", "ftp://127.0.0.1/", "https://", "auth.example.com", "https://u:p@auth.test/",
    "https://auth.test/?a=b", "https://auth.test/#x", "https://[::1", "https://auth.test:http/", "http://127.0.0.1.evil.test/",
    "http://localhost.evil.test/auth", "https://xn--.test/auth", "https://\u00e4..test/auth", "https://auth.test/a\nb",
])  # fmt: skip
def test_unfit_urls(url: str) -> None:
    """Plain http elsewhere, and what is no plain URL, is refused before anything is sent."""
    with pytest.raises(ConfigurationError) as raised:
        RemoteVerifier(url, service_key=SERVICE_KEY)
    assert "u:p" not in str(raised.value)


def test_fit_urls() -> None:
    """https anywhere, http on this machine, and elsewhere only when told so."""
    for url in ("https://auth.test/auth", "http://localhost:8000/auth/", "http://[::1]:8000", "http://127.0.0.2/auth"):
        RemoteVerifier(url, service_key=SERVICE_KEY)
    RemoteVerifier("http://auth.internal/auth", service_key=SERVICE_KEY, allow_plain_http=True)


@pytest.mark.parametrize("key", ["short", "", "x" * 31, "x" * 32 + "\r\nX: y", "é" * 40, "x" * 20 + " " + "x" * 20])
def test_unfit_service_keys(key: str) -> None:
    """What would not be a bearer token is refused, and not repeated."""
    with pytest.raises(ConfigurationError) as raised:
        RemoteVerifier("https://auth.test/auth", service_key=key)
    assert not key or key not in str(raised.value)


async def test_the_service_key_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Not in a log of any level, an error, a repr or a URL."""
    caplog.set_level(logging.DEBUG)
    async with issuing() as issuer, issuer.remote() as remote:
        _, credential = await issuer.login()
        await remote.verify(credential)
        shown = [repr(remote), repr(vars(remote)), repr(remote._running)]
        issuer.store.fail("events", "keys")
        for attempt in (
            remote.follower._read(),
            remote.verify(bearer(f"x{credential.token}")),
            issuer.remote().start(),
        ):
            with pytest.raises(StoreUnavailable) as raised:
                await attempt
            shown.append(repr(raised.value) + repr(raised.value.__cause__))
    assert SERVICE_KEY not in "".join(shown)
    assert SERVICE_KEY not in caplog.text
    assert credential.token not in caplog.text


async def test_no_setting_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment gets neither the tokens nor the service key."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with issuing() as issuer, issuer.remote() as remote:
        _, credential = await issuer.login()
        assert (await remote.verify(credential)).subject == "ann"
