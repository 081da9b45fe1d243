"""Exhaustive check of a login in two steps: somebody who logs in, perhaps in two tabs with one code that counts once,
and somebody who ends all sessions of the subject meanwhile.

A tab reads the epoch, proves the password, carries an attempt away, has its code checked, takes the attempt and makes a
session, each a step that others come between. The store's answers are atomic. Violations:

- a session lives that rests on a proof from before sessions were ended;
- a session exists that both factors were not proved for;
- one attempt has made two sessions;
- one code has completed two logins.

Every interleaving is explored. Each rule can be switched off, to see that it carries weight.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

TABS: Final = 2


class Tab(NamedTuple):
    """One tab's way. ``attempt``: the epoch that it carries; None before the password was proved."""

    read: int | None = None
    """The epoch as it was read."""
    proved: int | None = None
    """The true epoch at the moment at which the password was looked at."""
    attempt: int | None = None
    took: bool = False
    """It has taken its attempt, and may make a session."""
    checked: bool = False
    """Its code was found right."""
    accepted: bool = False
    """And taken."""
    sent: int = 0
    """How often the attempt was sent: a copy may be sent again."""


class Session(NamedTuple):
    tab: int
    epoch: int
    """As it stands in the record."""
    proved: int
    """The true epoch when its password was looked at."""
    both: bool


class World(NamedTuple):
    epoch: int = 0
    ended: int = 0
    tabs: tuple[Tab, ...] = (Tab(),) * TABS
    over: frozenset[int] = frozenset()
    """Attempts that were taken."""
    used: bool = False
    """The one code."""
    completed: int = 0
    """Logins that the code has completed."""
    sessions: tuple[Session, ...] = ()


class Rules(NamedTuple):
    epoch_before_password: bool = True
    attempt_keeps_epoch: bool = True
    create_compares: bool = True
    code_is_taken: bool = True
    attempt_is_taken: bool = True
    check_before_taking: bool = True
    step_is_needed: bool = True


BUILT: Final = Rules()
"""All in force, as in the code."""


def explore(rules: Rules = BUILT, *, once: bool = True) -> str:
    """ "holds in N states", or the shortest way to a violation. ``once``: whether the code counts once, and is no
    second password."""
    start = World()
    seen: set[World] = {start}
    todo: deque[tuple[World, tuple[str, ...]]] = deque([(start, ())])
    while todo:
        world, path = todo.popleft()
        wrong = _wrong(world, once)
        if wrong:
            return f"VIOLATION, {wrong}: {' > '.join(path)}"
        for name, other in _steps(world, rules if once else rules._replace(code_is_taken=False)):
            if other not in seen:
                seen.add(other)
                todo.append((other, (*path, name)))
    return f"holds in {len(seen)} states"


def _wrong(w: World, once: bool) -> str:
    alive = [one for one in w.sessions if one.epoch >= w.epoch]
    if any(one.proved < w.epoch for one in alive):
        return "a session outlives the end"
    if not all(one.both for one in w.sessions):
        return "a session of one factor"
    if any(sum(one.tab == tab for one in w.sessions) > 1 for tab in range(TABS)):
        return "one attempt made two sessions"
    return "one code completed two logins" if once and w.completed > 1 else ""


def _steps(w: World, rules: Rules) -> list[tuple[str, World]]:
    following = []
    if w.ended < 2:
        following.append(("end all", w._replace(epoch=w.epoch + 1, ended=w.ended + 1)))
    for number, tab in enumerate(w.tabs):
        following += [(f"{name} {number}", other) for name, other in _tab(w, number, tab, rules)]
    return following


def _tab(w: World, number: int, tab: Tab, rules: Rules) -> list[tuple[str, World]]:
    def put(changed: Tab, **more: object) -> World:
        tabs = (*w.tabs[:number], changed, *w.tabs[number + 1 :])
        return w._replace(tabs=tabs, **more)  # type: ignore[arg-type]

    first, second = (tab.read, tab.proved) if rules.epoch_before_password else (tab.proved, tab.read)
    if first is None or second is None:
        if tab.read is None and (rules.epoch_before_password or tab.proved is not None):
            return [("read epoch", put(tab._replace(read=w.epoch)))]
        return [("prove", put(tab._replace(proved=w.epoch)))]
    if tab.attempt is None:
        return [("begin", put(tab._replace(attempt=tab.read)))]
    found = []
    if tab.sent < 2:
        found.append(("send", put(tab._replace(sent=tab.sent + 1, checked=False, accepted=False, took=False))))
    if not tab.sent:
        return found
    if not tab.checked and rules.step_is_needed and (rules.check_before_taking or tab.took):
        found.append(("check", put(tab._replace(checked=not w.used or not rules.code_is_taken))))
    if tab.checked and not tab.accepted:
        free = not w.used or not rules.code_is_taken
        found.append(("accept", put(tab._replace(accepted=free, checked=free), used=True)))
    ready = tab.accepted or not rules.step_is_needed or not rules.check_before_taking
    if ready and not tab.took:
        free = number not in w.over or not rules.attempt_is_taken
        found.append(("take", put(tab._replace(took=free), over=w.over | {number})))
    if tab.took and (tab.accepted or not rules.step_is_needed or not rules.check_before_taking):
        found += _create(w, number, tab, rules)
    return found


def _create(w: World, number: int, tab: Tab, rules: Rules) -> list[tuple[str, World]]:
    epoch = tab.attempt if rules.attempt_keeps_epoch else w.epoch
    done = tab._replace(took=False, accepted=False, checked=False)
    tabs = (*w.tabs[:number], done, *w.tabs[number + 1 :])
    if rules.create_compares and epoch != w.epoch:
        return [("lose", w._replace(tabs=tabs))]
    made = Session(number, w.epoch if not rules.create_compares else epoch or 0, tab.proved or 0, tab.accepted)
    completed = w.completed + tab.accepted
    return [("create", w._replace(tabs=tabs, sessions=(*w.sessions, made), completed=completed))]
