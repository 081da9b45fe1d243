"""Exhaustive check of a history that is rolled back: a backup is put back while a process follows the feed, and the
history then grows again, with the same positions and, if nothing prevents it, the same numbers.

One store, one subject, and two credentials: A, of a session that is older than the backup; and B, an access token that
was issued between backup and restore. In some worlds its session is lost with that time, and its number is the epoch;
in others the session survives, and its number is the version. P is a process that follows the feed; it makes its first
read whenever it likes, before the backup or after the restore, and sleeps for as long as it likes. One process is
enough: processes meet in the store only, and whatever another one may do there is done by "somebody" at any moment.

`S` is one tick. So a lease is: the read that gave it began in this tick. What makes an acceptance possible is taken at
once and kept for as long as the rules let it: whatever a process can remember it remembers (`remembered`), and of each
answer that the store ever gave in its favour one is still under way (`answered`). Other orders accept less.

Violations:

- late: what was ended after the restore is accepted `S` or more after that had returned.
- here: what P ended itself after the restore is accepted by P, at any moment.
- lost: B is accepted though the store does not have its session, once P has read both histories, or `S` after somebody
  had the feed begin anew: another process that has, or the operator.

Every interleaving is explored. Each rule can be switched off, to see that it carries weight.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

UNKNOWN, OVERDUE = -1, -1
A, B, NUMBER = 1, 2, 4
"""What can be ended: two sessions, and by a new number all that was issued before it."""

Event = tuple[int, int, str]
"""What it ends, its number, and when it was made: before the backup, or on which side of the restore. No two are equal:
that is its mark."""
BEFORE, LOST, AFTER = "before the backup", "lost", "after the restore"
Cursor = tuple[int, int, Event | None]
"""Feed, position and mark."""


class Store(NamedTuple):
    feed: int = 0
    since: int = -1
    events: tuple[Event, ...] = ()
    number: int = 0
    rows: int = A


class Read(NamedTuple):
    """A read under way, which has seen the store already."""

    origin: Cursor | None
    feed: int
    since: int
    events: tuple[Event, ...]
    at: int
    """The store's time. In this tick: it still gives a lease."""
    both: bool
    """It saw the restored history, and its process had read the lost one before it began."""


class Process(NamedTuple):
    live: bool = False
    """The lease runs."""
    cursor: Cursor | None = None
    since: int = 0
    known: int = 0
    floor: int = UNKNOWN
    """The highest number that the view knows."""
    low: int = UNKNOWN
    """The lowest one."""
    remembered: int = 0
    answered: int = 0
    last: int = -1
    """The store's time in the last completed read."""
    reads: tuple[Read, ...] = ()
    anew: int = UNKNOWN
    """The feed that it still has to have begin anew."""
    read_lost: bool = False
    read_both: bool = False
    own: int = 0
    """What it ended itself, after the restore."""


class World(NamedTuple):
    now: int = 0
    stage: str = BEFORE
    store: Store = Store()
    saved: Store | None = None
    token: tuple[int, int] | None = None
    """When B was issued, and its number."""
    ended: tuple[int | None, ...] = (None, None, None)
    """When it returned that A, B, and all by number were ended, after the restore."""
    p: Process = Process()
    anew: int | None = None
    """When the feed had begun anew."""


class Rules(NamedTuple):
    cursor_names_event: bool = True
    cursor_names_feed: bool = True
    numbers_never_repeat: bool = True
    higher_number_asks: bool = True
    lowest_number_counts: bool = True
    answer_has_the_number: bool = True
    answer_knows_the_floor: bool = True
    ending_needs_no_row: bool = True
    feed_begins_anew: bool = True
    loss_covers_nothing_before: bool = True
    emptied_when_lost: bool = True
    loss_forgets_table: bool = True
    loss_forgets_answers: bool = True
    fill_checks_view: bool = True
    read_continues: bool = True


BUILT = Rules()
"""All in force."""


class Setting(NamedTuple):
    """One of the worlds that are explored."""

    survives: bool = False
    """B's session is older than the backup; its number is the version."""
    endings: int = A | B | NUMBER
    reads: int = 1
    """Reads of P that may be under way at once."""
    end: int = 2


SETTINGS = (
    Setting(endings=A, reads=2, end=1),
    Setting(endings=B, end=1),
    Setting(endings=NUMBER, end=1),
    Setting(endings=NUMBER, survives=True, end=1),
    Setting(endings=A | B, end=1),
)


def explore(rules: Rules = BUILT, settings: tuple[Setting, ...] = SETTINGS) -> str:
    """ "holds in N states", or the shortest way to a violation in the first world that has one."""
    states = 0
    for setting in settings:
        start = World(store=Store(rows=A | B if setting.survives else A))
        came: dict[World, tuple[World, str] | None] = {start: None}
        todo = deque([start])
        while todo:
            world = todo.popleft()
            for name, other in _steps(world, rules, setting):
                other = _ask(other, rules, setting)
                if other in came:
                    continue
                came[other] = (world, f"{name}@{other.now}")
                wrong = _violation(other, setting)
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


def _violation(w: World, setting: Setting) -> str:
    if not w.p.live:
        return ""
    accepts = w.p.remembered
    due = sum(bit for bit, at in zip((A, B, NUMBER), w.ended, strict=True) if at == OVERDUE)
    if due & NUMBER:
        due |= B if setting.survives else A | B
    if accepts & due:
        return "late"
    if accepts & (w.p.own | ((B if setting.survives else A | B) if w.p.own & NUMBER else 0)):
        return "here"
    gone = w.stage is AFTER and not setting.survives and bool(accepts & B)
    return "lost" if gone and (w.p.read_both or w.anew == OVERDUE) else ""


def _steps(w: World, rules: Rules, setting: Setting) -> list[tuple[str, World]]:
    following = _changes(w, rules, setting)
    if w.now < setting.end:
        following.append(("tick", _tick(w)))
    following += _follow(w, rules, setting.reads)
    if w.p.anew != UNKNOWN:
        began = _begin_anew(w, w.p.anew, rules)
        following.append(("P has it begin anew", began._replace(p=w.p._replace(anew=UNKNOWN))))
    if w.stage is AFTER and w.anew is None:
        following.append(("somebody has it begin anew", _begin_anew(w, w.store.feed, rules)))
    return following


def _tick(w: World) -> World:
    ended = tuple(None if at is None else OVERDUE for at in w.ended)
    anew = None if w.anew is None else OVERDUE
    return w._replace(now=w.now + 1, ended=ended, anew=anew, p=w.p._replace(live=False))


def _changes(w: World, rules: Rules, setting: Setting) -> list[tuple[str, World]]:
    """Backup, restore, the login, and whatever is ended, each once on each side of the restore."""
    following = []
    if w.stage is BEFORE:
        following.append(("backup", w._replace(stage=LOST, saved=w.store)))
    if w.stage is LOST:
        if w.saved is not None:
            following.append(("restore", w._replace(stage=AFTER, store=w.saved, saved=None)))
        if w.token is None:
            store = w.store._replace(rows=w.store.rows | B)
            following.append(("B issued", w._replace(store=store, token=(w.now, w.store.number))))
    for what, name in (A, "A"), (B, "B"), (NUMBER, "number"):
        if not setting.endings & what or (what == B and w.token is None):
            continue
        for store in _end(w, what, rules, setting):
            if w.stage is not AFTER:
                if store != w.store:
                    following.append((f"{name} ended", w._replace(store=store)))
            elif w.ended[what >> 1] is None:
                ended = tuple(w.now if i == what >> 1 else at for i, at in enumerate(w.ended))
                after = w._replace(store=store, ended=ended)
                following.append((f"{name} ended", after))
                number = store.number if what == NUMBER else 0
                p = _apply(w.p, (what, number, AFTER), w, rules)._replace(own=w.p.own | what)
                following.append((f"{name} ended by P", after._replace(p=p)))
    return following


def _end(w: World, what: int, rules: Rules, setting: Setting) -> list[Store]:
    """The store afterwards: one, or one for each number that may come up."""
    store = w.store
    made = [event for event in store.events if event[0] == what]
    if what == NUMBER:
        if w.stage is BEFORE or any(event[2] is w.stage for event in made):
            return []
        numbers = [store.number + 1]
        if rules.numbers_never_repeat:
            # After the restore it may also be below one that was lost: in the same second, or when the clock was ahead.
            numbers = [2] if w.stage is LOST else [1, 3]
        return [
            store._replace(number=number, events=(*store.events, (what, number, w.stage))) for number in numbers
        ]  # fmt: skip
    stands = bool(store.rows & what)
    if not made and (stands or rules.ending_needs_no_row):
        store = store._replace(events=(*store.events, (what, 0, w.stage)))
    return [store._replace(rows=store.rows & ~what)]


def _begin_anew(w: World, feed: int, rules: Rules) -> World:
    store = w.store
    if store.feed == feed and rules.feed_begins_anew:
        store = store._replace(feed=store.feed + 1, since=w.now)
    return w._replace(store=store, anew=w.now if w.anew is None else w.anew)


def _follow(w: World, rules: Rules, most: int) -> list[tuple[str, World]]:
    following, p = [], w.p
    read = Read(p.cursor, *w.store[:3], w.now, p.read_lost and w.stage is AFTER)
    if len(p.reads) < most and read not in p.reads:
        following.append(("P reads", w._replace(p=p._replace(reads=(*p.reads, read)))))
    for read in p.reads:
        rest = p._replace(reads=tuple(other for other in p.reads if other is not read))
        following.append(("P takes it in", w._replace(p=_take(w, rest, read, rules))))
    return following


def _take(w: World, p: Process, read: Read, rules: Rules) -> Process:
    start = _start(read, rules)
    if start is None or (p.cursor is not None and p.cursor[0] != read.feed and rules.cursor_names_feed):
        return lose(p, rules)
    if p.cursor != read.origin and rules.read_continues:
        return p  # another read has moved the cursor: what this one proves is not about what that one has read
    if p.cursor is None:
        if not rules.emptied_when_lost:
            p = p._replace(known=0, floor=UNKNOWN, low=UNKNOWN)
        p = p._replace(since=read.since)
        if read.since < p.last:  # it claims to cover what this process knows better
            since = read.at if rules.loss_covers_nothing_before else read.since
            p = p._replace(since=since, anew=read.feed)
    events = read.events
    for event in events[start:]:
        p = _apply(p, event, w, rules)
    cursor = (read.feed, len(events), events[-1] if events else None)
    lost = bool(events) and events[-1][2] is LOST
    return p._replace(
        cursor=cursor, last=read.at, live=p.live or read.at == w.now,
        read_lost=p.read_lost or lost, read_both=p.read_both or read.both,
    )  # fmt: skip


def _start(read: Read, rules: Rules) -> int | None:
    """Where the events after the cursor begin; None: it proves nothing here."""
    if read.origin is None:
        return 0
    feed, position, mark = read.origin
    events = read.events
    if (rules.cursor_names_feed and feed != read.feed) or position > len(events):
        return None
    if rules.cursor_names_event and position and events[position - 1] != mark:
        return None
    return position


def lose(p: Process, rules: Rules) -> Process:
    p = p._replace(live=False, cursor=None, reads=())
    if rules.emptied_when_lost:
        p = p._replace(known=0, floor=UNKNOWN, low=UNKNOWN)
    if rules.loss_forgets_table:
        p = p._replace(remembered=0)
    return p._replace(answered=0) if rules.loss_forgets_answers else p


def _apply(p: Process, event: Event, w: World, rules: Rules) -> Process:
    what, number, _ = event
    if what != NUMBER:
        return p._replace(known=p.known | what, remembered=p.remembered & ~what)
    higher = w.token is not None and w.token[1] > number
    answered = p.answered & ~B if higher and rules.answer_knows_the_floor else p.answered
    low = number if p.low == UNKNOWN else min(p.low, number)
    return p._replace(floor=max(p.floor, number), low=low, remembered=0, answered=answered)


def _ask(w: World, rules: Rules, setting: Setting) -> World:
    """Everything is asked for, and P remembers what it may."""
    p = w.p
    tokens = [(A, 0, 0)] if w.token is None else [(A, 0, 0), (B, *w.token)]
    for what, issued, number in tokens:
        numbered = what == B or not setting.survives
        # Nobody asks before a lease runs, so none before the first read after a loss.
        if p.cursor and w.store.rows & what and (not numbered or _answers(w.store, number, rules, setting)):
            p = p._replace(answered=p.answered | what)
        if not p.live:
            continue
        refuses = bool(p.known & what) or (numbered and number < p.floor)
        known = p.low if rules.lowest_number_counts else p.floor
        asks = issued <= p.since or (numbered and rules.higher_number_asks and UNKNOWN < known < number)
        fills = bool(p.answered & what) and not (refuses and rules.fill_checks_view)
        if fills or not (refuses or asks):
            p = p._replace(remembered=p.remembered | what)
    return w._replace(p=p)


def _answers(store: Store, number: int, rules: Rules, setting: Setting) -> bool:
    """Whether the store lets a token of this number pass, its session being there."""
    if setting.survives and not rules.answer_has_the_number:
        return number >= store.number
    return number == store.number
