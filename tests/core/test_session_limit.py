"""How many sessions a subject may have."""

from __future__ import annotations

import pytest

from coatcheck import Auth, Mode, Policy
from coatcheck.errors import ConfigurationError, RevokedCredential
from coatcheck.stores.memory import MemoryStore
from tests.support.gates import GatedStore

from .conftest import SECRET, Users, presented


@pytest.mark.parametrize("mode", list(Mode))
async def test_the_oldest_login_ends_everywhere(mode: Mode) -> None:
    """With the limit reached a login ends the oldest: here at once, though the feed is not read, and in the store."""
    gated = GatedStore(MemoryStore())
    policy = Policy(sessions_per_subject=2)
    async with Auth(gated, secret=SECRET, subjects=Users().facts, policy=policy) as auth:  # type: ignore[arg-type]
        other = await auth.login("bob", mode=mode)
        first, second = [await auth.login("ann", mode=mode) for _ in range(2)]
        for made in (other, first, second):
            await auth.verify(presented(made))
        gate = gated.hold_before("events")
        await gate.reached()
        third = await auth.login("ann", mode=mode)
        with pytest.raises(RevokedCredential):
            await auth.verify(presented(first))
        gate.open()
        for made in (other, second, third):
            await auth.verify(presented(made))


async def test_proving_oneself_again_at_the_limit() -> None:
    """A re-authentication takes the place of its own session and of no other."""
    async with Auth(
        MemoryStore(), secret=SECRET, subjects=Users().facts, policy=Policy(sessions_per_subject=1)
    ) as auth:
        made = await auth.login("ann")
        again = await auth.issuer.reauthenticate(made.session.id, epoch=0)
        await auth.verify(presented(again))
        with pytest.raises(RevokedCredential):
            await auth.verify(presented(made))
    async with Auth(
        MemoryStore(), secret=SECRET, subjects=Users().facts, policy=Policy(sessions_per_subject=2)
    ) as auth:
        elsewhere, made = await auth.login("ann"), await auth.login("ann")
        await auth.issuer.reauthenticate(made.session.id, epoch=0)
        await auth.verify(presented(elsewhere))


def test_a_limit_of_none_is_no_limit() -> None:
    """Nobody could log in: refused at start."""
    with pytest.raises(ConfigurationError, match="sessions_per_subject"):
        Policy(sessions_per_subject=0)
