"""The store's clock steps, both ways: what was ended stays ended, and ending does not depend on the time of day.

Real processes and real servers. The servers' time of day is put forward and back under them, and that of processes for
whom an SQLite file has no other (`tests.support.servers.clocks`); intervals stay true, as they do on a machine.
"""

from __future__ import annotations

import pytest

from coatcheck import Mode

from .conftest import Grounds
from .deployment import Deployment, Login, deployed, logout
from .fleet.stores import PLACES

HOUR = 3600.0
DAY = 24 * HOUR
AHEAD = {Mode.SESSION: HOUR, Mode.JWT: 7 * DAY + HOUR / 2}
"""Past the idle deadline of a session in this mode."""
ENDINGS = ("by id", "by subject", "by token")

on_every_store = pytest.mark.parametrize(
    "store", [pytest.param(store, marks=pytest.mark.xdist_group(f"history of {store}")) for store in PLACES]
)


@pytest.mark.parametrize(
    ("store", "mode"),
    [
        pytest.param(store, mode, marks=pytest.mark.xdist_group(f"history of {store}"))
        for store in PLACES
        for mode in AHEAD
        if store != "remote" or mode is Mode.JWT  # session tokens are for the issuing service only
    ],
)
def test_a_session_is_ended_though_the_clock_is_ahead(grounds: Grounds, store: str, mode: Mode) -> None:
    """While the clock is past a session's deadlines it is revoked, its subject is cut off, its client logs out, and a
    refresh token of it is used again; when the clock is right again, the session has ended everywhere."""
    with deployed(grounds.on(store)) as it:
        hows = ("by id", "by subject") if mode is Mode.SESSION else ("by id", "by subject", "by http", "by reuse")
        held = {how: it.login(how, mode) for how in hows}
        if "by reuse" in held:
            _refresh_twice(it, held["by reuse"])
        assert [how for how, one in held.items() if not it.verifying.accepts(one.credential)] == []
        with it.fleet.fresh("serving") as server:
            it.step_clock(AHEAD[mode])
            said = it.issuing.call("revoke", held["by id"].session_id)
            it.issuing.call("revoke_subject", "by subject")
            if "by http" in held:
                assert logout(server, held["by http"]).status_code == 204
            if "by reuse" in held:
                assert it.issuing.outcome("refresh", held["by reuse"].refresh_token).refused
            it.step_clock(0)
        assert it.accepting(held) == {}
        assert [how for how, one in held.items() if _refreshes(it, one)] == []
        assert said is True


@on_every_store
def test_a_token_from_a_clock_that_was_ahead_stays_ended(grounds: Grounds, store: str) -> None:
    """An access token is issued while the clock is an hour ahead, and ended when it is right again. An hour later, when
    the token becomes valid, its end is still known, also to a process that starts then."""
    with deployed(grounds.on(store)) as it:
        it.step_clock(HOUR)
        held = {how: it.login(how) for how in ENDINGS}
        it.step_clock(0)
        for how, one in held.items():
            assert it.end(how, one) is None
        it.step_clock(HOUR + 10)
        it.prune_anew()
        assert it.accepting(held) == {}


@on_every_store
def test_an_end_from_a_clock_that_was_behind_is_kept(grounds: Grounds, store: str) -> None:
    """An access token is ended while the clock is an hour behind: this is remembered for as long as the token lives."""
    place = grounds.on(store)
    place.clock.set(-2 * HOUR)  # what the processes say of their keys is old when it begins, as it is most of the time
    with deployed(place) as it:
        it.step_clock(0)
        held = {how: it.login(how) for how in ENDINGS}
        it.step_clock(-HOUR)
        for how, one in held.items():
            assert it.end(how, one) is None
        it.step_clock(0)
        it.prune_anew()
        assert it.accepting(held) == {}


@on_every_store
def test_jumps_do_not_empty_the_view(grounds: Grounds, store: str) -> None:
    """The clock is 20 minutes ahead for a moment, and then 40: what was ended before is refused still."""
    with deployed(grounds.on(store)) as it:
        held = {how: it.login(how) for how in ENDINGS}
        for how, one in held.items():
            assert it.end(how, one) is None
        it.fleet.settle()
        for off in (HOUR / 3, HOUR * 2 / 3, 0):
            it.step_clock(off)
        assert it.accepting(held) == {}


@on_every_store
def test_pruning_during_a_jump_deletes_no_event_early(grounds: Grounds, store: str) -> None:
    """Events are pruned while the clock is 40 minutes ahead, by a process that knows better: a process that starts when
    the clock is right again learns of all that counts."""
    with deployed(grounds.on(store)) as it:
        held = {how: it.login(how) for how in ENDINGS}
        for how, one in held.items():
            assert it.end(how, one) is None
        it.step_clock(HOUR * 2 / 3)
        it.issuing.call("_running.maintenance.prune")
        it.step_clock(0)
        assert it.accepting(held) == {}


def _refresh_twice(it: Deployment, login: Login) -> None:
    """So that its first refresh token is older than the one just before the current."""
    token = login.refresh_token
    for _ in range(2):
        token = it.issuing.call("refresh", token).refresh_token


def _refreshes(it: Deployment, login: Login) -> bool:
    return (
        login.made.session.mode is not Mode.SESSION and not it.issuing.outcome("refresh", login.refresh_token).refused
    )
