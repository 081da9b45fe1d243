"""A hit in a thread that stands still between two of its loads, while the follower goes on."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from coatcheck import Auth, Identity, Mode, SubjectFacts, bearer
from coatcheck.clock import Clock
from coatcheck.testing.clock import TravelClock
from coatcheck.verifier import Known, _hit_path
from tests.support.patience import SOON

SECRET = "a secret of the tests, 32 bytes or more"


@dataclass
class Gate:
    """Holds a thread in the middle of a call."""

    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def hold(self) -> None:
        self.reached.set()
        assert self.opened.wait(SOON)


@dataclass
class Gated:
    """Stands for a table, a lease or a clock whose one load is held before or after it is done."""

    inner: Any
    gate: Gate

    def get(self, key: str) -> Any:
        found = self.inner.get(key)
        self.gate.hold()
        return found

    @property
    def lease(self) -> Gated:
        return self

    @property
    def deadline(self) -> float:
        found: float = self.inner.lease.deadline
        self.gate.hold()
        return found

    def monotonic(self) -> float:
        self.gate.hold()
        now: float = self.inner.monotonic()
        return now


@pytest.fixture
def travel() -> TravelClock:
    return TravelClock()


@pytest.fixture
async def auth(travel: TravelClock) -> AsyncIterator[Auth]:
    clock = Clock(monotonic=travel.monotonic, wall=travel.now)
    facts = SubjectFacts()
    async with Auth("memory://", secret=SECRET, subjects=lambda subject: facts, clock=clock) as running:
        yield running


def held_at_the_entry(auth: Auth, gate: Gate) -> Known:
    """The hit path, standing still once it has looked up the entry."""
    return _hit_path(Gated(auth.table, gate), auth.follower, auth.clock)  # type: ignore[arg-type]


def held_at_the_lease(auth: Auth, gate: Gate) -> Known:
    """Standing still once it has loaded the lease."""
    return _hit_path(auth.table, Gated(auth.follower, gate), auth.clock)  # type: ignore[arg-type]


def held_at_the_clock(auth: Auth, gate: Gate) -> Known:
    """Standing still right before it asks for the time."""
    return _hit_path(auth.table, auth.follower, Gated(auth.clock, gate))  # type: ignore[arg-type]


HELD = pytest.mark.parametrize("held", [held_at_the_entry, held_at_the_lease, held_at_the_clock])
Held = Callable[[Auth, Gate], Known]


async def outcome(auth: Auth, travel: TravelClock, held: Held, *, seconds: float) -> Identity | None:
    """What a reader says who stood still while the session was revoked, so much time passed, and a fresh lease came."""
    made = await auth.login("ann", mode=Mode.JWT)
    assert made.access_token is not None
    credential = bearer(made.access_token)
    await auth.verify(credential)
    gate = Gate()
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(held(auth, gate), credential.key)
        try:
            assert gate.reached.wait(SOON)
            await auth.revoke(made.session.id)
            travel.advance(seconds)
            await auth.follower.catch_up()
            assert auth.follower.is_live()
        finally:
            gate.opened.set()
        return reading.result(SOON)


@HELD
async def test_a_revoked_credential_is_refused_however_long_the_thread_stood_still(
    auth: Auth, travel: TravelClock, held: Held
) -> None:
    """A lease that was extended after the lookup does not speak for an entry from before it."""
    assert await outcome(auth, travel, held, seconds=auth.policy.max_staleness) is None


async def test_within_the_lease_it_may_still_be_accepted(auth: Auth, travel: TravelClock) -> None:
    """The bound is the lease's, no shorter: so it is the comparison that refuses above and not the gates."""
    found = await outcome(auth, travel, held_at_the_entry, seconds=auth.policy.max_staleness / 2)
    assert found is not None
    assert found.subject == "ann"
