"""Exhaustive check of the guard of long-lived connections: one revoker, one process with its follower, one connection
that is let in with an identity, guarded, and ended.

It stands on the lease (`lease_model`), and adds what a guard can get wrong: an event between the verification and the
guard, a lease that lapses, a feed that is lost together with the event, and an answer of the store that was overtaken.

Every interleaving is explored. A violation is a connection that is open `S` or more after the revocation had returned.
Each rule can be switched off, to see that it carries weight.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

S, END = 2, 3

Read = tuple[int, bool | None] | None
"""A read under way: when it began, and what it saw: None not yet, False live, True revoked."""


class World(NamedTuple):
    now: int = 0
    committed: bool = False
    returned: int | None = None
    follower: Read = None
    lease: int = 0
    known: bool = False
    """The view knows of the revocation."""
    table: bool = False
    """The identity is remembered."""
    fill: Read = None
    held: bool = False
    """The application holds the identity, and has not guarded anything with it yet."""
    open: bool = False
    """The connection is guarded and open."""
    doubt: int | None = None
    """What it stood on is gone: it ends at this time unless the store says that the session lives."""
    ask: Read = None
    lost: bool = False
    """The feed was lost, once."""
    hidden: bool = False
    """The event was lost with it."""


class Rules(NamedTuple):
    apply_ends_guard: bool = True
    apply_before_lease: bool = True
    lease_from_begin: bool = True
    ends_with_lease: bool = True
    entering_looks: bool = True
    entering_needs_lease: bool = True
    lost_feed_is_doubt: bool = True
    doubt_ends: bool = True
    answer_checks_view: bool = True
    answer_needs_lease: bool = True
    answer_of_this_feed: bool = True


BUILT = Rules()
"""All in force, as in the code."""


def explore(rules: Rules = BUILT) -> str:
    """ "holds in N states", or the shortest way to a violation."""
    start = World()
    seen, todo = {start}, deque([(start, ())])
    while todo:
        world, path = todo.popleft()
        if world.open and world.returned is not None and world.now >= world.returned + S:
            return f"VIOLATION at {world.now}, revoke returned at {world.returned}: {' > '.join(path[-12:])}"
        for name, other in _steps(world, rules):
            if other not in seen:
                seen.add(other)
                todo.append((other, (*path, f"{name}@{other.now}")))
    return f"holds in {len(seen)} states"


def _steps(w: World, rules: Rules) -> list[tuple[str, World]]:
    following: list[tuple[str, World]] = []
    if w.now < END:
        following.append(("tick", _ended_by_time(w._replace(now=w.now + 1), rules)))
    if not w.committed:
        following.append(("commit", w._replace(committed=True)))
    elif w.returned is None:
        following.append(("return", w._replace(returned=w.now)))
    if not w.lost:
        following.append(("lose", lose(w, rules)))
    following += _follow(w, rules)
    following += _verify(w)
    following += _enter(w, rules)
    following += _ask(w, rules)
    return following


def _ended_by_time(w: World, rules: Rules) -> World:
    lapsed = rules.ends_with_lease and w.doubt is None and w.now >= w.lease
    undecided = rules.doubt_ends and w.doubt is not None and w.now >= w.doubt
    return w._replace(open=False, doubt=None) if w.open and (lapsed or undecided) else w


def lose(w: World, rules: Rules) -> World:
    doubt = w.lease if w.open and rules.lost_feed_is_doubt else w.doubt
    ask = None if rules.answer_of_this_feed else w.ask
    lost = w._replace(lost=True, hidden=w.committed, known=False, table=False, lease=0, follower=None, fill=None)
    return lost._replace(doubt=doubt, ask=ask)


def _follow(w: World, rules: Rules) -> list[tuple[str, World]]:
    if w.follower is None:
        return [("read begins", w._replace(follower=(w.now, None)))]
    began, saw = w.follower
    if saw is None:
        return [("read sees", w._replace(follower=(began, w.committed and not w.hidden)))]
    extended = w._replace(follower=None, lease=max(w.lease, (began if rules.lease_from_begin else w.now) + S))
    if not saw:
        return [("read ends", extended)]
    applied = extended if rules.apply_before_lease else w._replace(follower=None)
    applied = applied._replace(known=True, table=False)
    if rules.apply_ends_guard:
        applied = applied._replace(open=False, doubt=None)
    if rules.apply_before_lease:
        return [("read ends", applied)]
    return [("read ends unapplied", extended), ("read is applied", applied)]


def _verify(w: World) -> list[tuple[str, World]]:
    """The hit and the fill, whose rules `lease_model` is about."""
    live = w.now < w.lease
    following = []
    if w.table and live and not w.held and not w.open:
        following.append(("hit", w._replace(held=True)))
    if w.table and w.held:
        following.append(("evict", w._replace(table=False)))
    if w.fill is None and not w.table:
        following.append(("fill begins", w._replace(fill=(w.now, None))))
    elif w.fill is not None and w.fill[1] is None:
        following.append(("fill sees", w._replace(fill=(w.fill[0], w.committed))))
    elif w.fill is not None:
        filled = live and not w.fill[1] and not w.known
        following.append(("fill ends", w._replace(fill=None, table=w.table or filled)))
    return following


def _enter(w: World, rules: Rules) -> list[tuple[str, World]]:
    """Guarded at once, if the table still holds what the application holds."""
    live = w.now < w.lease or not rules.entering_needs_lease
    if w.held and live and (w.table or not rules.entering_looks):
        return [("enter", w._replace(held=False, open=True))]
    return []


def _ask(w: World, rules: Rules) -> list[tuple[str, World]]:
    """The store is asked about a guard in doubt, and about an identity that the table has forgotten."""
    wanted = w.doubt is not None or (w.held and not w.table)
    if w.ask is None:
        return [("ask begins", w._replace(ask=(w.now, None)))] if wanted else []
    began, saw = w.ask
    if saw is None:
        return [("ask sees", w._replace(ask=(began, w.committed)))]
    done = w._replace(ask=None)
    if not wanted:
        return [("ask is dropped", done)]
    if saw or (rules.answer_checks_view and w.known):
        return [("ask refuses", done._replace(held=False, open=False, doubt=None))]
    if w.now < w.lease or not rules.answer_needs_lease:
        return [("ask lets in", done._replace(held=False, open=True, doubt=None))]
    return [("ask again", done)]
