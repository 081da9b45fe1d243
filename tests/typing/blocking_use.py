"""How applications of threads use `coatcheck.blocking`: only read by type checkers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_type

import coatcheck
from coatcheck import ApplicationSubjects, Credentials, Identity, Mode, Policy, Profile, SubjectFacts, bearer
from coatcheck.accounts import Proof
from coatcheck.adapters.wsgi import BlockingKnower, identify, scope_of
from coatcheck.blocking import Auth, RemoteVerifier
from coatcheck.model import Account


def facts(subject: str) -> SubjectFacts | None:
    return SubjectFacts(roles=frozenset({"editor"}))


auth = Auth("sqlite:///app.db", secret=["new", "old"], policy=Policy(max_staleness=1.0), subjects=facts)
other = Auth("postgresql://host/app", sessions="redis://host", subjects=ApplicationSubjects())
remote = RemoteVerifier("https://auth.example.com/auth", service_key="k" * 32, timeout=2.0)
knowers: list[BlockingKnower] = [auth, remote]

assert_type(auth.start(), Auth)
assert_type(auth.login("ann", mode=Mode.JWT, remember=True), Credentials)
assert_type(auth.refresh("token"), Credentials)
assert_type(auth.epoch_of("ann"), int)
assert_type(auth.authenticate("ann", "password", ip="10.0.0.1"), Proof)
assert_type(auth.verify(bearer("token")), Identity)
assert_type(remote.verify(bearer("token")), Identity)
assert_type(auth.known(b"Bearer token"), Identity | None)
assert_type(auth.profile(auth.verify(bearer("token"))), Profile)
assert_type(auth.logout(bearer("token")), bool)
assert_type(auth.revoke("session", wait=True), bool)
assert_type(auth.has_accounts, bool)
assert_type(auth.policy, Policy)

with auth as running, remote as verifying:
    assert_type(running, Auth)
    assert_type(verifying, RemoteVerifier)


async def count(inner: coatcheck.Auth) -> int:
    assert_type(await inner.accounts.find_by_email("ann@example.com"), Account | None)
    return 1


assert_type(auth.run(count), int)
assert_type(auth.run(lambda inner: inner.epoch_of("ann")), int)
assert_type(remote.run(lambda inner: inner.verify(bearer("token"))), Identity)


async def view() -> None:
    assert_type(await auth.arun(count), int)
    assert_type(await remote.arun(lambda inner: inner.verify(bearer("token"))), Identity)


def wsgi(environ: Mapping[str, Any]) -> Identity | None:
    return identify(auth, scope_of(environ))


# What a checker must refuse:
Auth(42)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Auth(urll="sqlite:///app.db")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
RemoteVerifier("https://auth.example.com")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
auth.profile("ann")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
remote.profile(remote.verify(bearer("token")))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
auth.run(lambda inner: 1)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
