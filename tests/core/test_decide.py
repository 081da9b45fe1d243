"""Every yes and no about an access token, at its limits."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import msgspec
import pytest

from coatcheck import Identity, Mode, Policy, decide
from coatcheck.credentials.jwt import AccessClaims
from coatcheck.errors import (
    ExpiredCredential,
    Forbidden,
    InvalidCredential,
    LoginTooOld,
    MalformedCredential,
    RevokedCredential,
    StaleCredential,
)
from coatcheck.model import Session, Standing

NOW = 1_800_000_000.0
POLICY = Policy(issuer="https://id.example", audience="https://api.example", access_lifetime=900)
CLAIMS = AccessClaims(
    iss=POLICY.issuer, aud=POLICY.audience, sub="u", sid="s", jti="t", iat=int(NOW), exp=int(NOW) + 900, client_id="c",
    auth_time=int(NOW), amr=("pwd",), roles=(), epoch=0, ver=3, mode="jwt",
)  # fmt: skip


def check(now: float = NOW, **changes: Any) -> None:
    decide.check_access(msgspec.structs.replace(CLAIMS, **changes), POLICY, Mode.JWT, now)


def test_accepts_its_own() -> None:
    """A token as we issue it is accepted from its issue to the last moment before its expiry."""
    check()
    check(now=NOW + 899.999)
    check(nbf=int(NOW))
    check(nbf=int(NOW) + 60)  # the leeway of clocks


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://id.example/"},
        {"iss": "https://id.exampl"},
        {"iss": "HTTPS://ID.EXAMPLE"},
        {"aud": "https://api.example/"},
        {"aud": "https://api.exampl"},
        {"aud": "coatcheck"},
        {"mode": "jwt-cookie"},
        {"mode": "session"},
        {"mode": "JWT"},
    ],
)
def test_not_meant_for_us(changes: dict[str, Any]) -> None:
    """Issuer, audience and mode are compared whole and exactly."""
    with pytest.raises(MalformedCredential):
        check(**changes)


@pytest.mark.parametrize(
    ("now", "changes"),
    [
        (NOW + 900, {}),
        (NOW + 901, {}),
        (NOW, {"nbf": int(NOW) + 61}),
        (NOW, {"nbf": int(NOW) + 10**9}),
        (NOW - 60.001, {}),
        (NOW, {"exp": int(NOW) + 902}),
        (NOW, {"exp": int(NOW) + 10**9}),
        (NOW - 30, {"exp": int(NOW)}),
        (NOW - 30, {"exp": int(NOW) - 10}),
    ],
)
def test_out_of_its_time(now: float, changes: dict[str, Any]) -> None:
    """Expired, from the future beyond the leeway, or living longer than policy allows."""
    with pytest.raises(ExpiredCredential):
        check(now=now, **changes)


def test_limits_that_hold() -> None:
    """The leeway for iat and the rounding of a lifetime are inside."""
    check(now=NOW - 60)
    check(exp=int(NOW) + 901)


@pytest.mark.parametrize(
    ("epoch", "version", "error"),
    [
        (0, 0, None),
        (1, 0, None),  # the session was spared by a cut-off, and its tokens with it
        (-1, 0, RevokedCredential),  # the token is of an epoch that the store has lost
        (0, 1, StaleCredential),
        (0, -1, StaleCredential),
    ],
)
def test_standing(epoch: int, version: int, error: type[Exception] | None) -> None:
    """A token of another version than the store's is stale, and one of a later epoch was revoked."""
    standing = Standing(session=session(10, 20), epoch=CLAIMS.epoch + epoch, version=CLAIMS.ver + version)
    with pytest.raises(error) if error else nullcontext():
        decide.check_standing(CLAIMS, standing)


def session(idle: float, absolute: float) -> Session:
    return Session(
        id="s", subject="u", epoch=1, mode=Mode.JWT, created=NOW, authenticated=NOW, seen=NOW, idle_timeout=60,
        idle_deadline=NOW + idle, absolute_deadline=NOW + absolute,
    )  # fmt: skip


def test_live_session() -> None:
    """A session lives until the first of its deadlines and in its subject's epoch only."""
    assert decide.is_live(session(10, 20), 1, NOW + 9.999)
    assert not decide.is_live(session(10, 20), 1, NOW + 10)
    assert not decide.is_live(session(30, 20), 1, NOW + 20)
    assert not decide.is_live(session(10, 20), 2, NOW)


def test_access_token_never_outlives_its_session() -> None:
    """The expiry is the first of the lifetime and the session's two deadlines."""
    assert decide.access_expiry(session(10_000, 20_000), POLICY, NOW) == NOW + 900
    assert decide.access_expiry(session(100, 20_000), POLICY, NOW) == NOW + 100
    assert decide.access_expiry(session(10_000, 200), POLICY, NOW) == NOW + 200


def test_rights() -> None:
    """A role is had exactly, and a fresh login is one within the given time."""
    identity = Identity(
        subject="u", session_id="s", roles=frozenset({"admin"}), claims={}, auth_time=NOW, amr=("pwd",), mode=Mode.JWT
    )
    decide.check_role(identity, "admin")
    for role in ("adm", "admin ", "Admin", ""):
        with pytest.raises(Forbidden):
            decide.check_role(identity, role)
    decide.check_fresh(identity, 300, NOW + 300)
    with pytest.raises(LoginTooOld):
        decide.check_fresh(identity, 300, NOW + 300.001)


def test_refusals_are_all_of_one_kind() -> None:
    """Whatever fails, it is an InvalidCredential: the wire cannot tell them apart."""
    assert issubclass(ExpiredCredential, InvalidCredential)
    assert issubclass(StaleCredential, InvalidCredential)
