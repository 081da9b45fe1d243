"""Exhaustive check of time: a store whose clock steps ahead and back again, several times, or behind.

One credential, issued once and ended once: an access token that is ended by itself (`revoke_token`: no session row
knows of it), or a session with its access token. One process P, which follows the feed, reads when it likes and may
start at any time. Others issue, end and prune, with the store's time as it is just now, or as it was before any step of
the clock: a process may have read last, or started, at either moment.

Real time and every local monotonic clock are `World.now`. The store's clock differs from it by `World.ahead`. The lease
is left out: what P accepts it accepts in the tick in which it has read the feed, and `S` is one tick.

Violations:

- accepted: what was ended is accepted in a later tick.
- lives: the session itself, asked for in the store, is live in a later tick.
- future: what was issued is refused as issued in the future, in a tick later than its end.
- pruned: a process that has known the right time deletes a session before its deadline.
- shut out: what was issued beside the event is refused as expired and is not. Only where the clock is ahead for no
  longer than a moment, and twice.

Every interleaving is explored. Each rule can be switched off, to see that it carries weight.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

START = 10
LIFETIME, KEEP, DEADLINE, LONG = 1, 2, 2, 99
"""Of an access token, of an event, of a session, and of the session of a token that is ended by itself."""
UNKNOWN, OVERDUE = -1, -2
NONE, NEW, OLD, DROPPED = 0, 1, 2, 3
"""Where the view has the event: in a generation, or no longer."""


class Process(NamedTuple):
    base: int = 0
    """The store's time less the local one, as of the last read."""
    read: bool = False
    """It has read the feed in this tick."""
    event: int = NONE
    since: int = 0
    forgotten: int = UNKNOWN
    """The time of the newest event that was dropped."""
    turned: int = 0
    """When the view's generation turned, by the local clock and by the store's."""
    turned_store: int = 0


class World(NamedTuple):
    now: int = START
    ahead: int = 0
    steps: int = 0
    highest: int = START
    since: int = 0
    at: int = UNKNOWN
    """The time of the event."""
    kept: bool = False
    """It was not yet pruned."""
    issued: int = UNKNOWN
    row: int = UNKNOWN
    """The session's deadline."""
    ended: int = UNKNOWN
    pruned: bool = False
    """The session was, before its deadline by the right time."""
    p: Process | None = None


class Rules(NamedTuple):
    time_never_goes_back: bool = True
    issuing_raises: bool = True
    pruning_raises: bool = True
    event_not_before_issued: bool = True
    ending_ignores_deadlines: bool = True
    view_counts_local: bool = True
    view_counts_store: bool = True
    dropped_is_expired: bool = True
    prune_by_lowest: bool = True


BUILT = Rules()
"""All in force."""


class Setting(NamedTuple):
    """One of the worlds that are explored."""

    alone: bool
    """The token is ended by itself; else its session is."""
    offsets: tuple[int, ...]
    steps: int
    end: int
    moment: bool = False
    """The clock is ahead within one tick only."""


SETTINGS = (
    Setting(alone=True, offsets=(3,), steps=2, end=2, moment=True),
    Setting(alone=True, offsets=(3, 6), steps=4, end=2, moment=True),
    Setting(alone=False, offsets=(-3, 3), steps=2, end=3),
    Setting(alone=True, offsets=(3,), steps=2, end=6, moment=True),
    Setting(alone=True, offsets=(-3, 3), steps=3, end=4),
    Setting(alone=True, offsets=(3,), steps=2, end=6),
)


def explore(rules: Rules = BUILT, settings: tuple[Setting, ...] = SETTINGS) -> str:
    """ "holds in N states", or the shortest way to a violation in the first world that has one."""
    states = 0
    for setting in settings:
        start = World()
        came: dict[World, tuple[World, str] | None] = {start: None}
        todo = deque([start])
        while todo:
            world = todo.popleft()
            for name, other in _steps(world, rules, setting):
                if other in came:
                    continue
                came[other] = (world, f"{name}@{other.now}")
                wrong = _violation(other, rules, setting)
                if wrong:
                    return f"VIOLATION ({wrong}): {_way(came, other)}"
                todo.append(other)
        states += len(came)
    return f"holds in {states} states"


def _way(came: dict[World, tuple[World, str] | None], world: World) -> str:
    names = []
    step = came[world]
    while step is not None:
        names.append(step[1])
        step = came[step[0]]
    return " > ".join(reversed(names))


def _violation(w: World, rules: Rules, setting: Setting) -> str:
    p = w.p
    if w.pruned:
        return "pruned"
    if p is None or not p.read:
        return ""
    now = w.now + p.base
    if setting.moment and p.forgotten != UNKNOWN and now < p.forgotten + LIFETIME:
        return "shut out"
    if w.ended != OVERDUE:
        return ""
    if now < w.issued:
        return "future"
    stands = w.row != UNKNOWN and now < w.row
    refused = p.event in (NEW, OLD)
    if not setting.alone and stands and not refused:
        return "lives"
    valid = p.forgotten < w.issued <= now < w.issued + LIFETIME and not refused
    return "accepted" if valid and (w.issued >= p.since or stands) else ""


def _given(w: World, rules: Rules) -> int:
    """What the store says the time is."""
    wall = w.now + w.ahead
    return max(wall, w.highest) if rules.time_never_goes_back else wall


def _steps(w: World, rules: Rules, setting: Setting) -> list[tuple[str, World]]:
    following = [("P reads", _read(w, rules))]
    if w.now < START + setting.end and not (w.ahead and setting.moment):
        ended = OVERDUE if w.ended != UNKNOWN else UNKNOWN
        p = None if w.p is None else w.p._replace(read=False)
        following.append(("tick", w._replace(now=w.now + 1, ended=ended, p=p)))
    if w.steps < setting.steps:
        for ahead in setting.offsets if not w.ahead else (0,):
            following.append((f"clock {ahead:+}", w._replace(ahead=ahead, steps=w.steps + 1)))
    for at in sorted({w.now, _given(w, rules)}):
        if w.issued == UNKNOWN:
            row = at + (LONG if setting.alone else DEADLINE)
            issued = w._replace(issued=at, row=row)
            following.append((f"issued at {at}", _raise(issued, at) if rules.issuing_raises else issued))
        elif w.ended == UNKNOWN:
            following.append((f"ended at {at}", _end(w, at, rules, setting)))
    given = _given(w, rules)
    lowest = w.now if rules.prune_by_lowest else given
    pruned = _prune(w, lowest, rules)
    early = w.row > w.now and pruned.row == UNKNOWN
    following.append((f"pruned at {lowest}", pruned._replace(pruned=early)))
    following.append((f"pruned at {given} by a new process", _prune(w, given, rules)))
    return following


def _raise(w: World, at: int) -> World:
    return w._replace(highest=max(w.highest, at))


def _end(w: World, at: int, rules: Rules, setting: Setting) -> World:
    w = w._replace(ended=w.now)
    if not setting.alone:
        if w.row == UNKNOWN or (at >= w.row and not rules.ending_ignores_deadlines):
            return w
        w = w._replace(row=UNKNOWN)
    at = max(at, w.highest) if rules.event_not_before_issued else at
    return _raise(w._replace(at=at, kept=True), at)


def _prune(w: World, at: int, rules: Rules) -> World:
    if w.kept and w.at < at - KEEP:
        w = w._replace(kept=False, since=max(w.since, w.at + 1))
    if w.row <= at and w.row != UNKNOWN:
        w = w._replace(row=UNKNOWN)
    return _raise(w, at) if rules.pruning_raises else w


def _read(w: World, rules: Rules) -> World:
    given = _given(w, rules)
    base = given - w.now
    p = w.p
    if p is None or (
        w.at != UNKNOWN and not w.kept and p.event == NONE
    ):  # its first read, or what it had to read was pruned
        p = Process(since=w.since, turned=w.now, turned_store=given)
        p = p._replace(event=NEW if w.kept else DROPPED if w.at != UNKNOWN else NONE)
    elif w.kept and p.event == NONE:
        p = p._replace(event=NEW)
    p = p._replace(base=base, read=True)
    return w._replace(p=_forget(w, p, given, rules))


def _forget(w: World, p: Process, given: int, rules: Rules) -> Process:
    if (rules.view_counts_local and w.now - p.turned <= KEEP) or (
        rules.view_counts_store and given - p.turned_store <= KEEP
    ):
        return p
    if p.event == OLD:
        # Without the rule the store is asked, which knows nothing of a token that was ended by itself.
        p = p._replace(event=DROPPED, since=max(p.since, w.at + 1))
        if rules.dropped_is_expired:
            p = p._replace(forgotten=w.at)
    elif p.event == NEW:
        p = p._replace(event=OLD)
    return p._replace(turned=w.now, turned_store=given)
