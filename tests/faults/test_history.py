"""A history that was rolled back never looks like the one that a process remembers.

Real processes on real stores; what an operator does with a backup is done to each (`tests.support.histories`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from coatcheck import Mode

from .conftest import Grounds
from .deployment import Deployment, Login, deployed
from .fleet.stores import PLACES, Place

WAYS = [
    ("sqlite", "in place"),
    ("sqlite", "volume"),
    ("postgresql", "volume"),
    ("postgresql", "dump"),
    ("postgresql", "rows"),
    ("redis", "snapshot"),
    ("redis", "volume"),
    ("redis-cluster", "one server"),
    ("redis-cluster", "volume"),
    ("remote", "in place"),
    ("remote", "stopped"),
    ("remote", "volume"),
]
"""Every store, and every way in which it goes back."""
assert {store for store, _ in WAYS} == set(PLACES)


def cases(*, of: Sequence[tuple[str, str]] = WAYS) -> list[object]:
    return [
        pytest.param(store, way, marks=pytest.mark.xdist_group(f"history of {store}"), id=f"{store}-{way}")
        for store, way in of
    ]


ONE_EACH = [
    ("sqlite", "in place"),
    ("postgresql", "volume"),
    ("redis", "volume"),
    ("redis-cluster", "one server"),
    ("remote", "in place"),
]
"""Of each store one, beneath which processes that have it open live on."""
REMEMBERED = [(store, way) for store, way in WAYS if (store, way) != ("sqlite", "volume")]
"""Those that a verifying process can live through."""


@pytest.mark.parametrize(("store", "way"), cases(of=REMEMBERED))
def test_a_process_that_slept_through_it_is_told(grounds: Grounds, store: str, way: str) -> None:
    """A verifying process is suspended, the store goes back, nobody else remembers, and enough happens that positions
    fit again: what was ended after the restore is refused when it wakes."""
    with deployed(grounds.on(store), way) as it:
        held = [it.login(f"ann {mode}", mode) for mode in it.modes]
        other = it.login("somebody else").subject
        it.history.save()
        it.change(other, times=3)
        it.fleet.settle()
        assert [it.verifying.accepts(one.credential) for one in held] == [True] * len(held)
        it.verifying.suspend()
        it.put_back(ending=[it.fleet.issuing])
        _end_all(it, held, other)
        it.verifying.resume()
        assert [one.subject for one in held if it.verifying.accepts(one.credential)] == []


@pytest.mark.parametrize(("store", "way"), cases(of=ONE_EACH))
def test_a_process_that_slept_through_it_is_told_where_others_lived(grounds: Grounds, store: str, way: str) -> None:
    """The same, where the process that ends sessions has lived through the restore."""
    with deployed(grounds.on(store), way) as it:
        held = [it.login(f"ann {mode}", mode) for mode in it.modes]
        other = it.login("somebody else").subject
        it.history.save()
        it.change(other, times=3)
        it.fleet.settle()
        assert [it.verifying.accepts(one.credential) for one in held] == [True] * len(held)
        it.verifying.suspend()
        it.put_back()
        _end_all(it, held, other)
        it.verifying.resume()
        assert [one.subject for one in held if it.verifying.accepts(one.credential)] == []


@pytest.mark.parametrize(("store", "way"), cases(of=ONE_EACH))
def test_a_process_that_polls_is_told(grounds: Grounds, store: str, way: str) -> None:
    """The same, where the verifying process goes on asking all the while: it may see that the history ends earlier, or
    look again only when it is long enough."""
    with deployed(grounds.on(store), way) as it:
        held = [it.login(f"ann {mode}", mode) for mode in it.modes]
        other = it.login("somebody else").subject
        it.history.save()
        it.change(other, times=1)
        it.fleet.settle()
        assert [it.verifying.accepts(one.credential) for one in held] == [True] * len(held)
        it.put_back()
        _end_all(it, held, other)
        assert [one.subject for one in held if it.verifying.accepts(one.credential)] == []


def _end_all(it: Deployment, held: Sequence[Login], other: str) -> None:
    """The sessions first, so that their events lie where the sleeper has read already."""
    for one in held:
        it.fleet.issuing.call("revoke", one.session_id, wait=one is held[-1])
    it.change(other, times=12)


@pytest.mark.parametrize(("store", "way"), cases())
def test_what_was_issued_since_the_backup_can_be_ended(grounds: Grounds, store: str, way: str) -> None:
    """An access token issued between backup and restore, whose session the store has forgotten, is refused everywhere
    once it was ended: by its session's id, by its subject here and at the command line, by a logout over HTTP with
    itself, by its own id; and it is stale once its subject was changed. Nobody remembers what was."""
    every = (store, way) in ONE_EACH
    _end_what_was_issued_since(grounds.on(store), way, all_restarted=True, by_others=every)


@pytest.mark.parametrize(("store", "way"), cases(of=ONE_EACH))
def test_what_was_issued_since_the_backup_can_be_ended_by_those_who_lived(
    grounds: Grounds, store: str, way: str
) -> None:
    """The same, where every process has lived through the restore."""
    _end_what_was_issued_since(grounds.on(store), way, all_restarted=False)


def _end_what_was_issued_since(place: Place, way: str, *, all_restarted: bool, by_others: bool = True) -> None:
    """``by_others``: also in the ways that start a process for it. Each store shows them in one of its ways back."""
    endings, of_strangers = (
        [name for name in names if by_others or name.partition(",")[0] not in BY_OTHERS]
        for names in (ENDINGS, OF_STRANGERS)
    )
    with deployed(place, way) as it:
        issuing = it.fleet.issuing
        for name in endings:
            it.login(name)
        it.history.save()
        for name in endings:  # so that numbers after the restore would be those of before it
            issuing.call("revoke_subject", name)
            it.change(name, times=1)
        tokens = {name: it.login(name, Mode.JWT) for name in endings}
        tokens |= {name: it.login(name, Mode.JWT) for name in of_strangers}
        it.fleet.settle()
        assert [name for name, one in tokens.items() if not it.verifying.accepts(one.credential)] == []
        it.put_back(ending=it.fleet.members if all_restarted else [])
        failed = {name: why for name in tokens if (why := it.end(name, tokens[name])) is not None}
        issuing.call("revoke", "the last one, for the bound", wait=True)
        assert (failed, it.accepting(tokens)) == ({}, {})


@pytest.mark.parametrize(("store", "way"), cases())
def test_what_an_operator_says_is_heeded(grounds: Grounds, store: str, way: str) -> None:
    """All processes have ended before the restore, so that nobody remembers; `coatcheck restored` says that it was one.
    An access token whose session the store has forgotten is refused from then on, and one from before the backup goes
    on."""
    with deployed(grounds.on(store), way) as it:
        _check_that_nothing_is_taken_as_known(it, by_command=True)


@pytest.mark.parametrize(("store", "way"), cases(of=ONE_EACH))
def test_who_lived_through_it_takes_nothing_as_known(grounds: Grounds, store: str, way: str) -> None:
    """The same, where processes have lived through the restore and nobody says anything; it holds for one that starts
    afterwards, too."""
    with deployed(grounds.on(store), way) as it:
        _check_that_nothing_is_taken_as_known(it, by_command=False)


def _check_that_nothing_is_taken_as_known(it: Deployment, *, by_command: bool) -> None:
    before = it.login("before")
    it.history.save()
    since = {"made since": it.login("since")}
    it.change(it.login("somebody else").subject, times=1)  # an event that is missed afterwards
    it.fleet.settle()
    assert [it.verifying.accepts(one.credential) for one in (before, *since.values())] == [True, True]
    it.put_back(ending=it.fleet.members if by_command else [])
    if by_command:
        assert it.command("restored") is None
    it.fleet.settle()
    assert it.accepting(since) == {}
    assert it.accepting({"made before": before}) == {"made before": ["verifying", "issuing", "fresh"]}


ENDINGS = ("by id", "by subject", "by command", "by http", "by token", "changed")
OF_STRANGERS = ("by subject, a stranger", "by command, a stranger", "by id, a stranger")
"""Subjects that the store has forgotten altogether."""
BY_OTHERS = ("by command", "by http")
"""Another process does it, which is started for that."""
