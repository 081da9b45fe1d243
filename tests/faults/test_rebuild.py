"""What a process ends itself while its feed is being read anew."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck import ApplicationSubjects, Auth, InvalidCredential, Mode, Policy
from coatcheck.errors import ReusedCredential
from coatcheck.stores import open_store
from coatcheck.stores.base import FeedLost
from tests.support.gates import Gate, GatedStore

from .conftest import Grounds
from .deployment import Login
from .fleet.stores import SECRET

ENDINGS = ("by id", "by subject", "by token", "changed", "by limit", "by reuse")


@pytest.mark.parametrize(
    "store",
    [
        pytest.param(store, marks=pytest.mark.xdist_group(f"history of {store}"))
        for store in ("sqlite", "postgresql", "redis", "redis-cluster")
    ],
)
async def test_what_a_process_ends_while_its_feed_is_rebuilt_is_refused_at_once(grounds: Grounds, store: str) -> None:
    """The feed is lost and read anew; between the store's answer and its being taken in, this process ends what a
    client holds, in every way. From then on it refuses, whenever the next read comes."""
    place = await asyncio.to_thread(grounds.on, store)
    gated = GatedStore(open_store(place.issuing_url))
    auth = Auth(
        gated,  # type: ignore[arg-type]  # it delegates to one
        secret=SECRET,
        policy=Policy(sessions_per_subject=1),
        subjects=ApplicationSubjects(),
    )
    async with auth:
        held = {how: Login(how, await auth.login(how, mode=Mode.JWT)) for how in ENDINGS}
        for one in held.values():
            await auth.verify(one.credential)
        answered = await _rebuilding(gated)
        await _end_all(auth, held)
        following = gated.hold_before("events")
        answered.open()
        await following.reached()
        accepted = [how for how, one in held.items() if await _is_accepted(auth, one)]
        following.open()
    assert accepted == []


async def _rebuilding(store: GatedStore) -> Gate:
    """The feed is lost, and the store has answered the first read of it as a whole."""
    lost = store.hold_before("events")
    await lost.reached()
    store.break_once("events", FeedLost("made up"))
    answered = store.hold_after("events")
    lost.open()
    await answered.reached()
    return answered


async def _end_all(auth: Auth, held: dict[str, Login]) -> None:
    await auth.revoke(held["by id"].session_id)
    await auth.revoke_subject("by subject")
    await auth.revocation.revoke_token(held["by token"].session_id, held["by token"].token_id)
    await auth.subject_changed("changed")
    await auth.login("by limit", mode=Mode.JWT)
    first = held["by reuse"].refresh_token
    second = (await auth.refresh(first)).refresh_token or ""
    await auth.refresh(second)
    with pytest.raises(ReusedCredential):
        await auth.refresh(first)


async def _is_accepted(auth: Auth, login: Login) -> bool:
    try:
        await auth.verify(login.credential)
    except InvalidCredential:
        return False
    return True
