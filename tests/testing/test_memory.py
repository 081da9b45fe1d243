"""The `Auth` in memory."""

from __future__ import annotations

import subprocess
import sys

from coatcheck.testing.clock import TravelClock
from coatcheck.testing.memory import FOR_TESTS_ONLY, blocking_memory_auth, cheap_passwords, memory_auth
from tests.support.patience import PATIENCE
from tests.support.service import environment


async def test_in_memory() -> None:
    """Two of them share nothing, and each goes by the clock that it was given."""
    clock = TravelClock()
    async with memory_auth(clock) as one, memory_auth(TravelClock(7000.0)) as other:
        account = await one.accounts.register("ann@example.com", "nine brown owls")
        assert await other.accounts.find_by_email("ann@example.com") is None
        assert (account.created, other.clock.now()) == (clock.now(), 7000.0)
        clock.advance(5)
        assert one.clock.now() == account.created + 5


def test_for_threads() -> None:
    """The same for threads."""
    with blocking_memory_auth(TravelClock(7000.0), subjects=lambda subject: None) as auth:
        assert auth.clock.now() == 7000.0


async def test_cheap_passwords() -> None:
    """They are hashed and verified, at the least cost that argon2 has."""
    hasher = cheap_passwords()
    assert hasher.profile is FOR_TESTS_ONLY
    hashed = await hasher.hash("nine brown owls")
    assert "$m=8,t=1,p=1$" in hashed
    assert await hasher.verify(hashed, "nine brown owls")
    assert not await hasher.verify(hashed, "nine brown cats")
    await hasher.close()


def test_nobody_closes_it() -> None:
    """A process that ends without closing it says nothing, though it keeps accounts."""
    program = """
from coatcheck.testing.memory import blocking_memory_auth
auth = blocking_memory_auth()
auth.run(lambda auth: auth.accounts.register("ann@example.com", "nine brown owls"))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
