"""Access of every kind, from the login to the verification: what is let in, how far it goes, and when it ends."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from coatcheck import (
    ALL_KINDS,
    LOGOUT_KINDS,
    Access,
    Auth,
    ConfigurationError,
    Conflict,
    Forbidden,
    Kind,
    Lifetimes,
    LimitReached,
    LoginTooOld,
    Mode,
    Policy,
    Rejected,
    decide,
    feed_json,
)
from coatcheck.credentials import encoding
from coatcheck.errors import MalformedCredential, RevokedCredential
from coatcheck.model import NEVER, PLAIN, Event, EventKind
from coatcheck.stores.memory import MemoryStore
from tests.support.gates import GatedStore
from tests.support.issuer import issuing, until

from .conftest import SECRET, Users, presented

KEY = Access(kind=Kind.KEY, scopes=frozenset({"orders:read", "editor"}))
GRANT = Access(kind=Kind.GRANT, client="calendar", audience="https://api.example", scopes=frozenset({"read"}))
ACTING = Access(kind=Kind.ACTING, actor="root")
BOUND = Access(bound_key="0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")
NARROW = Access(scopes=frozenset())
EVERY = (KEY, GRANT, ACTING, Access(kind=Kind.GUEST), BOUND, NARROW, Access(client="cli"))
MODES = pytest.mark.parametrize("mode", list(Mode))


def running(**policy: Any) -> Auth:
    users = Users(roles={"ann": frozenset({"admin", "editor"})})
    return Auth(MemoryStore(), secret=SECRET, subjects=users.facts, policy=Policy(**policy))


def claims_of(token: str | None) -> bytes:
    return encoding.decode((token or "").split(".")[1])


async def test_a_plain_login_says_nothing_new() -> None:
    """Its access token has the claims that it always had, in their order, and its cut-off is the same bytes."""
    async with running() as auth:
        made = await auth.login("ann", mode=Mode.JWT)
        at = int(made.session.created)
        jti = msgspec.json.decode(claims_of(made.access_token))["jti"]
        assert claims_of(made.access_token).decode() == (
            f'{{"iss":"coatcheck","aud":"coatcheck","sub":"ann","sid":"{made.session.id}","jti":"{jti}","iat":{at},'
            f'"exp":{at + 900},"client_id":"coatcheck","auth_time":{at},"amr":["pwd"],"roles":["admin","editor"],'
            '"epoch":0,"ver":0,"mode":"jwt"}'
        )
    ended = Event(kind=EventKind.SUBJECT_CUT_OFF, at=1.5, subject="ann", number=7)
    told = b'{"kind":"subject_cut_off","at":"1970-01-01T00:00:01.500000Z","subject":"ann","number":7}'
    assert feed_json.write_events([ended]) == told
    spared = replace(ended, spared=ALL_KINDS - LOGOUT_KINDS)
    assert feed_json.write_events([spared]) == told[:-1] + b',"spared":["grant","key"]}'


async def test_kinds_of_a_newer_version_are_no_error_in_the_feed() -> None:
    """That others were spared means nothing to whoever has none; all that we know end."""
    page = (
        b'{"feed":"f","cursor":"c","events":[{"kind":"subject_cut_off","at":"1970-01-01T00:00:01Z","subject":"ann",'
        b'"number":7,"spared":["robot","key"]}],"since":"1970-01-01T00:00:01Z","now":"1970-01-01T00:00:02Z",'
        b'"more":false,"max_staleness":2}'
    )
    assert feed_json.read(page)[0].events[0].spared == {Kind.KEY}


@MODES
@pytest.mark.parametrize("access", [one for one in EVERY if one.kind is not Kind.LOGIN or one.bound_key])
async def test_nothing_but_a_login_is_let_in_by_default(access: Access, mode: Mode) -> None:
    """Keys, third parties, administrators, guests, and what is bound to a key that nobody has proved."""
    async with running() as auth:
        made = await auth.login("ann", mode=mode, access=access)
        for _ in range(2):
            with pytest.raises(MalformedCredential):
                await auth.verify(presented(made))
        assert auth.verifier.known(presented(made).key) is None
        assert (await auth.verifier.examine(presented(made))).access == access
        assert auth.verifier.known(presented(made).key) is None, "looking at it is not letting it in"


@MODES
@pytest.mark.parametrize("access", [KEY, ACTING, Access(kind=Kind.GUEST), NARROW, Access(client="cli")])
async def test_what_policy_lets_in_says_what_it_is(access: Access, mode: Mode) -> None:
    """By its first sight and from memory, with no more than the roles that its scopes name."""
    async with running(kinds=tuple(Kind)) as auth:
        made = await auth.login("ann", mode=mode, access=access)
        identity = await auth.verify(presented(made))
        assert auth.verifier.known(presented(made).key) is identity
        assert identity.access == access == made.session.access
        assert (identity.kind, identity.client, identity.actor) == (access.kind, access.client, access.actor)
        assert identity.roles == ({"admin", "editor"} if access.scopes is None else access.scopes & {"admin", "editor"})
        assert identity.has_role("admin") == identity.has_scope("anything") == (access.scopes is None)
        assert not identity.is_person or access.scopes is None


async def test_a_bound_credential_is_refused_whatever_the_policy() -> None:
    """Its key was not proved, neither to a verifier nor for a refresh, and another key will not do."""
    async with running(kinds=tuple(Kind)) as auth:
        made = await auth.login("ann", mode=Mode.JWT, access=BOUND)
        with pytest.raises(MalformedCredential, match="bound to a key"):
            await auth.verify(presented(made))
        token = made.refresh_token or ""
        for proved in ("", "t" * 43):
            with pytest.raises(RevokedCredential, match="bound to a key"):
                await auth.issuer.refresh(token, proved_key=proved)
        renewed = await auth.issuer.refresh(token, proved_key=BOUND.bound_key)
        assert renewed.session.access == BOUND


async def test_a_grants_token_is_for_its_audience_alone() -> None:
    """Also where third parties are let in, it is refused by whoever is not that audience, and taken by who is."""
    async with running(kinds=tuple(Kind)) as auth:
        made = await auth.login("ann", mode=Mode.JWT, access=GRANT)
        with pytest.raises(MalformedCredential, match="audience"):
            await auth.verify(presented(made))
        claims = auth.access_tokens.read(made.access_token or "", now=auth.clock.now())
        assert (claims.aud, claims.client_id, claims.scope, claims.kind) == (
            GRANT.audience,
            "calendar",
            "read",
            "grant",
        )
        theirs = Policy(audience=GRANT.audience, client_id="calendar", kinds=(Kind.GRANT,))
        decide.check_access(claims, theirs, Mode.JWT, auth.clock.now())
        assert decide.access_of(claims, theirs) == GRANT


async def test_a_service_without_the_database_knows_kinds() -> None:
    """Whoever is the audience lets the third party in, also at a first sight that it has to ask about; nobody else
    does; and a cut-off that spares it is one that it outlives."""
    theirs = Policy(audience=GRANT.audience, kinds=(Kind.GRANT,))
    for store in (None, GatedStore(MemoryStore())):
        async with issuing(store) as issuer, issuer.remote(policy=theirs) as remote, issuer.remote() as other:
            grant = await issuer.auth.login("ann", mode=Mode.JWT, access=GRANT)
            login = await issuer.auth.login("ann", mode=Mode.JWT)
            identity = await remote.verify(presented(grant))
            assert (identity.access, identity.roles) == (GRANT, frozenset())
            await other.verify(presented(login))
            for verifier, made in ((other, grant), (remote, login)):
                with pytest.raises(MalformedCredential):
                    await verifier.verify(presented(made))
            await issuer.auth.revoke_subject("ann", kinds=LOGOUT_KINDS)
            await until(lambda: other.known(presented(login).key) is None)  # noqa: B023 - awaited in its turn
            assert (await remote.verify(presented(grant))).access == GRANT
            await issuer.auth.revoke_subject("ann", kinds=[Kind.GRANT])
            await until(lambda: remote.known(presented(grant).key) is None)  # noqa: B023 - as above
            with pytest.raises(RevokedCredential):
                await remote.verify(presented(grant))


@pytest.mark.parametrize("access", EVERY)
async def test_a_version_that_knows_no_kinds_refuses_the_token(access: Access) -> None:
    """It looks at the mode, which is none that it knows; one of ours that says more without saying so is refused."""
    async with running() as auth:
        made = await auth.login("ann", mode=Mode.JWT, access=access)
        claims = auth.access_tokens.read(made.access_token or "", now=auth.clock.now())
        assert claims.mode not in set(Mode)
        assert decide.access_of(claims, auth.policy) == access
        if access != Access(client="cli"):
            unsaid = msgspec.structs.replace(claims, mode="jwt")
            with pytest.raises(MalformedCredential):
                decide.access_of(unsaid, auth.policy)
        for wrong in ({"kind": "robot"}, {"scope": "a  b"}, {"scope": 'a"b'}, {"kind": "acting"}):
            changed = msgspec.structs.replace(claims, **{"act": msgspec.UNSET, **wrong})
            with pytest.raises(MalformedCredential):
                decide.access_of(changed, auth.policy)


@MODES
async def test_a_refresh_keeps_what_it_is_for(mode: Mode) -> None:
    """And so does proving again who one is, which only a person can."""
    async with running(kinds=tuple(Kind)) as auth:
        for access in (NARROW, KEY, ACTING):
            made = await auth.login("ann", mode=mode, access=access)
            if mode is not Mode.SESSION:
                made = await auth.refresh(made.refresh_token or "")
                assert (await auth.verify(presented(made))).access == access
            epoch = await auth.epoch_of("ann")
            if access.kind is Kind.LOGIN:
                again = await auth.issuer.reauthenticate(made.session.id, epoch=epoch)
                assert (await auth.verify(presented(again))).access == access
            else:
                with pytest.raises(RevokedCredential):
                    await auth.issuer.reauthenticate(made.session.id, epoch=epoch)


@MODES
async def test_logging_out_everywhere_leaves_keys(mode: Mode) -> None:
    """The table, the view and the store agree; ending all ends all."""
    async with running(kinds=tuple(Kind)) as auth:
        login, key = await auth.login("ann", mode=mode), await auth.login("ann", mode=mode, access=KEY)
        unseen = await auth.login("ann", mode=mode, access=KEY)
        for made in (login, key):
            await auth.verify(presented(made))
        await auth.revoke_subject("ann", kinds=LOGOUT_KINDS)
        assert auth.verifier.known(presented(login).key) is None
        assert auth.verifier.known(presented(key).key) is not None
        with pytest.raises(RevokedCredential):
            await auth.verify(presented(login))
        await auth.verify(presented(unseen))
        await auth.verify(presented(await auth.login("ann", mode=mode)))
        await auth.revoke_subject("ann")
        for made in (login, key, unseen):
            with pytest.raises(RevokedCredential):
                await auth.verify(presented(made))


async def test_a_login_loses_against_a_cut_off_of_its_kind_only() -> None:
    """A key that is being made goes on while its owner logs out everywhere."""
    async with running() as auth:
        epoch = await auth.epoch_of("ann")
        await auth.revoke_subject("ann", kinds=LOGOUT_KINDS)
        await auth.login("ann", epoch=epoch, access=KEY)
        with pytest.raises(Conflict):
            await auth.login("ann", epoch=epoch)
        await auth.revoke_subject("ann", kinds=[Kind.KEY])
        with pytest.raises(Conflict):
            await auth.login("ann", epoch=epoch, access=KEY)


async def test_guards_know_kinds() -> None:
    """A connection that came with a key outlives its owner's logout everywhere; the login's does not."""
    async with running(kinds=tuple(Kind)) as auth:
        login = await auth.verify(presented(await auth.login("ann")))
        key = await auth.verify(presented(await auth.login("ann", mode=Mode.JWT, access=KEY)))
        watches = [await auth.guards.watch(identity) for identity in (login, key)]
        await auth.revoke_subject("ann", kinds=LOGOUT_KINDS)
        assert [watch.ended is None for watch in watches] == [False, True]
        await auth.revoke_subject("ann", kinds={Kind.KEY})
        assert watches[1].ended is not None


async def test_limits_and_lifetimes_are_of_the_kind() -> None:
    """Keys are refused beyond theirs, end nobody, and have no end; logins go on giving way."""
    async with running(keys_per_subject=1, sessions_per_subject=1, kinds=tuple(Kind)) as auth:
        key = await auth.login("ann", access=KEY)
        assert key.session.absolute_deadline == NEVER
        for _ in range(2):
            login = await auth.login("ann")
        with pytest.raises(LimitReached, match="1 sessions of kind key"):
            await auth.login("ann", access=KEY)
        for made in (key, login):
            await auth.verify(presented(made))
        brief = await auth.login("bob", access=KEY, expires=key.session.created + 60)
        assert brief.session.idle_deadline == brief.session.absolute_deadline == key.session.created + 60
        acting = await auth.login("ann", access=ACTING)
        assert acting.session.absolute_deadline - acting.session.created == pytest.approx(3600)
        with pytest.raises(ValueError, match="expires lies in the past"):
            await auth.login("bob", access=KEY, expires=1.0)


@pytest.mark.parametrize("mode", list(Mode))
async def test_proving_again_puts_no_end_off(mode: Mode) -> None:
    """A login that was to end early ends then, however often its subject proves again who they are; any other begins
    anew."""
    async with running() as auth:
        now = auth.clock.now()
        early = await auth.login("ann", mode=mode, expires=now + 600)
        for _ in range(2):
            epoch = await auth.epoch_of("ann")
            again = await auth.issuer.reauthenticate(early.session.id, epoch=epoch)
            assert again.session.absolute_deadline == early.session.absolute_deadline == now + 600
            early = again
        usual = await auth.login("bob", mode=mode)
        anew = await auth.issuer.reauthenticate(usual.session.id, epoch=await auth.epoch_of("bob"))
        assert anew.session.absolute_deadline >= usual.session.absolute_deadline
        whole = auth.policy.lifetimes(mode, False).absolute
        assert anew.session.absolute_deadline == pytest.approx(anew.session.created + whole)


async def test_nobody_but_a_person_is_fresh() -> None:
    """A key that was made a moment ago is no login that was; what is for a person is for nobody else."""
    async with running(kinds=tuple(Kind)) as auth:
        now = auth.clock.now()
        decide.check_fresh(await auth.verify(presented(await auth.login("ann"))), 60, now)
        for access in (KEY, ACTING, Access(kind=Kind.GUEST)):
            identity = await auth.verify(presented(await auth.login("ann", access=access)))
            with pytest.raises(LoginTooOld):
                decide.check_fresh(identity, 60, now)
            with pytest.raises(Forbidden):
                decide.check_person(identity)


WRONG = {
    "an administrator's without the administrator": {"kind": Kind.ACTING},
    "an actor where nobody acts": {"actor": "root"},
    "a third party's without its name": {"kind": Kind.GRANT, "audience": "https://api.example"},
    "a third party's for everybody": {"kind": Kind.GRANT, "client": "calendar"},
    "two scopes in one": {"scopes": {"read write"}},
    "no scope": {"scopes": {""}},
    "a quote": {"scopes": {'"'}},
    "too many": {"scopes": {str(number) for number in range(101)}},
    "no thumbprint": {"bound_key": "a key"},
    "a new line": {"client": "calendar\n"},
    "too long": {"client": "c" * 513},
}


@pytest.mark.parametrize("case", WRONG)
def test_what_makes_no_sense_is_refused(case: str) -> None:
    """In one line, before anything is asked."""
    with pytest.raises(Rejected) as caught:
        Access(**WRONG[case])  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"kind": "keys"}, {"kind": 7}, {"scopes": "read"}, {"scopes": [7]}, {"scopes": 7}, {"client": 7}]
)
def test_what_is_of_another_kind_is_refused(wrong: dict[str, Any]) -> None:
    """Above all one text in the place of a set of them, which would be a scope for each letter."""
    with pytest.raises(TypeError):
        Access(**wrong)


def test_no_scope_is_not_every_scope() -> None:
    """What was narrowed to nothing may do nothing."""
    assert Access(scopes=frozenset()) != PLAIN
    assert not Access(scopes=frozenset()).has_scope("read")
    assert Access(scopes=["b", "a"]).scopes == {"a", "b"}  # type: ignore[arg-type]
    assert not Access(scopes=frozenset()).narrowed(frozenset({"admin"}))


async def test_nobody_acts_as_themselves(auth: Auth, store: GatedStore) -> None:
    """An administrator who would shed what their own sessions have to prove."""
    with pytest.raises(Rejected):
        await auth.login("ann", access=Access(kind=Kind.ACTING, actor="ann"))


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        ({"kinds": ()}, "policy.kinds must name at least one kind"),
        ({"kinds": (Kind.KEY, Kind.KEY)}, "policy.kinds must name at least one kind, each once"),
        ({"kinds": ("keys",)}, "each of policy.kinds must be one of .*; did you mean key"),
        ({"grant": Lifetimes(idle=1.0, absolute=math.inf)}, "policy.grant: absolute must be finite; only a key"),
        ({"session": Lifetimes(idle=1.0, absolute=math.inf)}, "policy.session: absolute must be finite"),
        ({"key": Lifetimes(idle=math.inf, absolute=math.inf)}, "policy.key: idle must be positive"),
        ({"acting": Lifetimes(idle=9.0, absolute=8.0)}, "policy.acting: idle must be positive and not longer"),
        ({"keys_per_subject": 0}, "policy.keys_per_subject must be a positive number"),
    ],
)
def test_a_policy_that_makes_no_sense(policy: dict[str, Any], complaint: str) -> None:
    """One line at start."""
    with pytest.raises(ConfigurationError, match=complaint):
        Policy(**policy)
