"""How a guard cancels its body: as `asyncio.timeout` does, and with no way to go on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import pytest

from coatcheck import Auth, Identity
from coatcheck.errors import SessionEnded
from coatcheck.model import Event, EventKind

from .conftest import presented

FOR_EVER = 3600.0


@pytest.fixture
async def who(auth: Auth) -> Identity:
    return await auth.verify(presented(await auth.login("ann")))


def ends_soon(auth: Auth, who: Identity) -> None:
    """The event comes from elsewhere while the body waits."""
    watch = next(iter(auth.guards._by_session[who.session_id]))
    asyncio.get_running_loop().call_soon(auth.guards.end, watch, SessionEnded("made to"))


@contextmanager
def raised(kind: type[BaseException]) -> Iterator[None]:
    """The block as a whole raises this: what is under test here is blocks."""
    with pytest.raises(kind):
        yield


def is_clean() -> bool:
    """Nothing of the guard is left on the task."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling() == 0


async def test_body_that_ends_by_itself(auth: Auth, who: Identity) -> None:
    """Its value and its errors are its own."""
    async with auth.guard(who) as guard:
        assert guard.goes_on()
    assert guard.ended is None
    with raised(ZeroDivisionError):
        async with auth.guard(who):
            raise ZeroDivisionError
    await auth.revoke(who.session_id)
    await asyncio.sleep(0)
    assert is_clean()


async def test_error_has_no_foreign_traceback(auth: Auth, who: Identity) -> None:
    """Each body that one event ends raises an error of its own."""

    async def body() -> SessionEnded:
        with pytest.raises(SessionEnded) as caught:
            async with auth.guard(who):
                await asyncio.sleep(FOR_EVER)
        return caught.value

    bodies = [asyncio.create_task(body()) for _ in range(3)]
    await asyncio.sleep(0.01)
    await auth.revoke(who.session_id)
    assert len({id(error) for error in await asyncio.gather(*bodies)}) == 3


async def test_cancelled_from_outside(auth: Auth, who: Identity) -> None:
    """A cancellation from outside stays one, also when the guard ends in the same step, whichever was first."""
    for first, second in ((False, False), (False, True), (True, False)):

        async def body() -> None:
            async with auth.guard(who):
                await asyncio.sleep(FOR_EVER)

        task = asyncio.create_task(body())
        await asyncio.sleep(0.01)
        watch = next(iter(auth.guards._by_session[who.session_id]))
        if first:
            auth.guards.end(watch, SessionEnded("made to"))
        task.cancel()
        if second:
            auth.guards.end(watch, SessionEnded("made to"))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()


async def test_timeout_around_and_inside(auth: Auth, who: Identity) -> None:
    """The end goes through a timeout inside and around; a timeout that expires is a TimeoutError."""
    with raised(SessionEnded):
        async with asyncio.timeout(FOR_EVER), auth.guard(who), asyncio.timeout(FOR_EVER):
            ends_soon(auth, who)
            await asyncio.sleep(FOR_EVER)
    with raised(TimeoutError):
        async with asyncio.timeout(0.01), auth.guard(who):
            await asyncio.sleep(FOR_EVER)
    with raised(TimeoutError):
        async with auth.guard(who), asyncio.timeout(0.01):
            await asyncio.sleep(FOR_EVER)
    assert is_clean()


async def test_nested(auth: Auth, who: Identity) -> None:
    """Two guards of one session in one task: the outer one raises, nothing is left."""
    with raised(SessionEnded):
        async with auth.guard(who) as outer:
            try:
                async with auth.guard(who) as inner:
                    await auth.revoke(who.session_id)
                    await asyncio.sleep(FOR_EVER)
            finally:
                assert inner.ended is not None
                assert outer.ended is not None
    assert is_clean()


async def test_nested_with_another_session(auth: Auth, who: Identity) -> None:
    """The inner session ends: the outer guard goes on."""
    other = await auth.verify(presented(await auth.login("bob")))
    async with auth.guard(who) as outer:
        with raised(SessionEnded):
            async with auth.guard(other):
                ends_soon(auth, other)
                await asyncio.sleep(FOR_EVER)
        assert outer.goes_on()
        assert is_clean()
        await asyncio.sleep(0)


async def test_in_task_groups(auth: Auth, who: Identity) -> None:
    """Around asyncio's and anyio's groups it ends their children; inside them, the group gets the error."""
    children: list[str] = []

    async def child() -> None:
        try:
            await asyncio.sleep(FOR_EVER)
        finally:
            children.append("ended")

    with raised(SessionEnded):
        async with auth.guard(who), asyncio.TaskGroup() as group:
            group.create_task(child())
            await asyncio.sleep(0)
            ends_soon(auth, who)
    with raised(SessionEnded):
        async with auth.guard(who), anyio.create_task_group() as nursery:
            nursery.start_soon(child)
            await asyncio.sleep(0)
            ends_soon(auth, who)
    assert children == ["ended"] * 2
    assert is_clean()

    async def guarded() -> None:
        async with auth.guard(who):
            ends_soon(auth, who)
            await asyncio.sleep(FOR_EVER)

    for make in (asyncio.TaskGroup, anyio.create_task_group):
        with pytest.raises(ExceptionGroup) as caught:
            await _in_group(make(), guarded)
        assert caught.group_contains(SessionEnded)


async def _in_group(group: Any, work: Any) -> None:
    async with group as entered:
        if isinstance(entered, asyncio.TaskGroup):
            entered.create_task(work())
        else:
            entered.start_soon(work)


async def test_in_cancel_scopes(auth: Auth, who: Identity) -> None:
    """Inside an anyio scope that is cancelled it is the scope that ends; a scope inside passes the end on."""
    with anyio.CancelScope() as scope:
        async with auth.guard(who):
            scope.cancel()
            await asyncio.sleep(FOR_EVER)
    assert scope.cancelled_caught
    assert is_clean()
    with raised(SessionEnded):
        async with auth.guard(who):
            with anyio.CancelScope():
                ends_soon(auth, who)
                await asyncio.sleep(FOR_EVER)
    assert is_clean()


async def test_both_scope_and_guard(auth: Auth, who: Identity) -> None:
    """The scope is cancelled and the session ends in one step: either may have the word, and nothing is left."""
    with suppress(SessionEnded), anyio.move_on_after(FOR_EVER) as scope:
        async with auth.guard(who):
            ends_soon(auth, who)
            scope.cancel()
            await asyncio.sleep(FOR_EVER)
    assert is_clean()


async def test_body_that_will_not_end(auth: Auth, who: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that swallows its cancellation is cancelled again and again, and leaving the guard raises all the same."""
    monkeypatch.setattr("coatcheck.guard.body._AGAIN", 0.01)
    cancelled = 0
    with raised(SessionEnded):
        async with auth.guard(who) as guard:
            ends_soon(auth, who)
            for _ in range(3):
                try:
                    await asyncio.sleep(5)
                except asyncio.CancelledError:
                    cancelled += 1
            assert not guard.goes_on()
    assert cancelled == 3
    assert is_clean()


async def test_clean_up_has_time(auth: Auth, who: Identity) -> None:
    """What the body does in ``finally`` is not cut off at once."""
    done = False
    with raised(SessionEnded):
        async with auth.guard(who):
            ends_soon(auth, who)
            try:
                await asyncio.sleep(FOR_EVER)
            finally:
                await asyncio.sleep(0.02)
                done = True
    assert done


async def test_body_ends_its_own_session(auth: Auth, who: Identity) -> None:
    """A body that logs itself out and returns leaves no cancellation behind; one that goes on is cancelled."""
    with raised(SessionEnded):
        async with auth.guard(who):
            auth.follower.apply(_revoked(who))
    assert is_clean()
    await asyncio.sleep(0.01)
    other = await auth.verify(presented(await auth.login("ann")))
    went_on = False
    with raised(SessionEnded):
        async with auth.guard(other):
            await auth.revoke(other.session_id)
            await asyncio.sleep(0.1)
            went_on = True
    assert not went_on


def _revoked(who: Identity) -> Any:
    return Event(kind=EventKind.SESSION_REVOKED, at=0.0, session_id=who.session_id)


async def test_body_that_has_just_finished(auth: Auth, who: Identity) -> None:
    """The event comes in the turn of the loop in which what the body waits for is there: raised, and nothing left."""
    ready = asyncio.get_running_loop().create_future()
    with suppress(SessionEnded):
        async with auth.guard(who):
            asyncio.get_running_loop().call_soon(ready.set_result, None)
            ends_soon(auth, who)
            await ready
    assert is_clean()
    await asyncio.sleep(0.01)


async def test_own_error_goes_through(auth: Auth, who: Identity) -> None:
    """What the body raises while it is being ended is its own."""
    with raised(ZeroDivisionError):
        async with auth.guard(who):
            ends_soon(auth, who)
            try:
                await asyncio.sleep(FOR_EVER)
            finally:
                raise ZeroDivisionError
    assert is_clean()


async def test_entered_once_and_left_by_the_same_task(auth: Auth, who: Identity) -> None:
    """Anything else is refused in words, and leaves no guard."""
    guard = auth.guard(who)
    with pytest.raises(RuntimeError, match="not been entered"):
        guard.use()
    async with guard:
        with pytest.raises(RuntimeError, match="entered once"):
            await guard.__aenter__()
    another = auth.guard(who)
    await asyncio.create_task(another.__aenter__())
    with pytest.raises(RuntimeError, match="left by the task that entered it"):
        await another.__aexit__(None, None, None)
    assert len(auth.guards) == 0


async def test_another_event_loop(auth: Auth, who: Identity) -> None:
    """A guard lives in the loop of its Auth; anywhere else it is refused in words."""
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            asyncio.run(auth.guard(who).__aenter__())
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert "event loop" in str(errors[0])


def test_not_running() -> None:
    """Without a running Auth there is nothing to guard by."""
    with pytest.raises(RuntimeError, match="not running"):
        Auth("memory://").guard(None)  # type: ignore[arg-type]
