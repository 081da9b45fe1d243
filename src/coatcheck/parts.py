"""Puts the parts of an `Auth` together: what each is handed, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from .accounts import PasswordHasher, PasswordPolicy
from .accounts.composition import Users, compose
from .accounts.throttle import Counters, Throttle
from .clock import Clock
from .credentials.jwt import AccessTokens
from .credentials.keyring import Keyring, Secrets
from .credentials.opaque import OpaqueTokens
from .events import Events
from .follower import Follower
from .guard import Guards, Questions
from .issuer import Issuer
from .keys import Keys
from .logins import Attempts, Steps
from .maintenance import Maintenance
from .policy import Policy
from .profiles import Profiles
from .revocation import Revocation
from .stores import KeyedSessions, Store
from .stores.base import AccountStore, SessionStore
from .subjects import SubjectSource
from .table import Table
from .verifier import Verifier
from .view import RevocationView
from .writes import Writes


@dataclass(frozen=True, slots=True)
class Parts:
    """What exists while an `Auth` runs."""

    store: Store | KeyedSessions
    sessions: SessionStore
    opaque: OpaqueTokens
    access: AccessTokens
    keys: Keys
    follower: Follower
    table: Table
    verifier: Verifier
    issuer: Issuer
    revocation: Revocation
    maintenance: Maintenance
    guards: Guards
    users: Users
    profiles: Profiles
    attempts: Attempts


def compose_parts(
    store: Store | KeyedSessions,
    sessions: SessionStore,
    secrets: Secrets,
    *,
    policy: Policy,
    clock: Clock,
    subjects: SubjectSource | None,
    hasher: PasswordHasher | None,
    password_policy: PasswordPolicy,
    events: Events,
    steps: Steps,
) -> Parts:
    """Everything that an `Auth` runs with, made and not yet started. ``store`` and ``sessions`` are open."""
    table = Table(policy.table_entries, policy.table_bytes)
    view = RevocationView(policy.event_retention)
    opaque = OpaqueTokens(secrets)
    access = AccessTokens(Keyring([]))
    keys = Keys(store, sessions, secrets, access, clock, policy, events)
    follower = Follower(sessions, table, view, clock, policy, keys.load)
    revocation = Revocation(sessions, follower, clock, policy, events)
    users = compose(
        subjects, store, sessions, revocation,
        renew=lambda session_id, epoch: issuer.reauthenticate(session_id, epoch=epoch),
        local_counters=_local_counters, throttle_key=secrets.derive("throttle")[0],
        hasher=hasher, policy=password_policy, now=clock.now, events=events,
    )  # fmt: skip
    known = users.subjects
    verifier = Verifier(
        sessions=sessions, subjects=known, opaque=opaque, access=access,
        follower=follower, table=table, view=view, clock=clock, policy=policy, happened=events,
    )  # fmt: skip
    issuer = Issuer(
        sessions=sessions, subjects=known, opaque=opaque, access=access,
        revocation=revocation, follower=follower, clock=clock, policy=policy, happened=events,
    )  # fmt: skip
    counters = store if isinstance(store, AccountStore) else _local_counters()
    attempts = Attempts(
        steps, issuer=issuer, sessions=sessions, opaque=opaque, counters=counters,
        throttle=Throttle(counters, key=secrets.derive("throttle")[0]), events=events, now=clock.now,
        reuse_window=policy.reuse_window,
    )  # fmt: skip
    questions = Questions(sessions, known, follower, view, clock, policy)
    guards = Guards(
        follower, table, view, clock, kids=lambda: access.keyring.retirements(), questions=questions, happened=events
    )
    return Parts(
        store=store, sessions=sessions, opaque=opaque, access=access, keys=keys, follower=follower, table=table,
        verifier=verifier, issuer=issuer, revocation=revocation,
        maintenance=Maintenance(sessions, keys, table, clock, policy, Writes(sessions, store)),
        guards=guards, users=users, profiles=Profiles(known, table, follower.lease, clock), attempts=attempts,
    )  # fmt: skip


def _local_counters() -> Counters:
    from .stores.memory import MemoryStore  # only beside a store that cannot count

    return MemoryStore()
