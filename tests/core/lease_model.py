"""Exhaustive check of the lease as it is built: one revoker, one process with its follower, a request with a session
token and a request with an access token, in discrete time.

The built form differs from the design's first sketch in one thing: under a lapsed lease a request does not believe an
answer of its own, it reads the feed (`Follower.catch_up`), and only a lease that runs lets it go on. So "a slow answer
is asked for again" is a consequence and not a rule of its own.

A long feed is read in pages: a read may see a page that does not hold the revocation though it was committed.

A store may tell of the revocation at any time after its commit, also while a read is under way, and also never: that
is acted upon at once and proves nothing, so the lease stays as it is.

Hits also come from other threads (`coatcheck.blocking`), which may stand still between any two of their loads while
everything else goes on.

Every interleaving is explored. A violation is an acceptance `S` or more after the revocation had returned. Each rule
can be switched off, to see that it carries weight.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

S, END = 2, 4

PAGE = "page"
Read = tuple[int, bool | str | None] | None
"""A read under way: when it began, and what it saw: None not yet, False live, True revoked, PAGE a page that is not the
last one."""
Glance = tuple[int | None, bool] | None
"""A hit under way in another thread: the lease's deadline if that was loaded already, and whether the entry was
found."""


class World(NamedTuple):
    now: int = 0
    committed: bool = False
    returned: int | None = None
    follower: Read = None
    catch_up: Read = None
    lease: int = 0
    known: bool = False
    """The view knows of the revocation."""
    table: bool = False
    """The credential is remembered."""
    find: Read = None
    glance: Glance = None


class Rules(NamedTuple):
    fill_checks_view: bool = True
    first_sight_checks_view: bool = True
    apply_before_lease: bool = True
    lease_from_begin: bool = True
    fill_needs_lease: bool = True
    hit_needs_lease: bool = True
    last_page_before_lease: bool = True
    deadline_before_entry: bool = True


BUILT = Rules()
"""All in force, as in the code."""


def explore(rules: Rules = BUILT) -> str:
    """ "holds in N states", or the shortest way to a violation."""
    start = World()
    seen, todo = {start}, deque([(start, ())])
    while todo:
        world, path = todo.popleft()
        accepted, following = _steps(world, rules)
        if accepted and world.returned is not None and world.now >= world.returned + S:
            way = " > ".join(path[-10:])
            return f"VIOLATION ({accepted}) at {world.now}, revoke returned at {world.returned}: {way}"
        for name, other in following:
            other = _without_dead_glance(other, rules)
            if other not in seen:
                seen.add(other)
                todo.append((other, (*path, f"{name}@{other.now}")))
    return f"holds in {len(seen)} states"


def _steps(w: World, rules: Rules) -> tuple[str, list[tuple[str, World]]]:
    live = w.now < w.lease
    following: list[tuple[str, World]] = []
    accepted = ""
    if w.now < END:
        following.append(("tick", w._replace(now=w.now + 1)))
    if not w.committed:
        following.append(("commit", w._replace(committed=True)))
    elif w.returned is None:
        following.append(("return", w._replace(returned=w.now)))
    if w.committed:
        following.append(("told", w._replace(known=True, table=False)))
    following += _reads(w, "follower", w.follower, rules)
    if w.catch_up is not None or not live:
        following += _reads(w, "catch_up", w.catch_up, rules)
    if w.table and (live or not rules.hit_needs_lease):
        accepted = "hit"
    glanced, going_on = _glances(w, rules)
    accepted = accepted or glanced
    following.append(going_on)
    if live and not w.table and not (rules.first_sight_checks_view and w.known):  # an access token: no store at all
        accepted = accepted or "first sight"
        following.append(("first sight", w._replace(table=True)))
    if w.find is None:
        if not w.table:
            following.append(("find begins", w._replace(find=(w.now, None))))
    elif w.find[1] is None:
        following.append(("find sees", w._replace(find=(w.find[0], w.committed))))
    elif w.find[1] or (rules.fill_checks_view and w.known):
        following.append(("find refuses", w._replace(find=None)))
    elif live or not rules.fill_needs_lease:
        accepted = accepted or "fill"
        following.append(("fill", w._replace(find=None, table=True)))
    else:
        following.append(("find again", w._replace(find=None)))
    return accepted, following


def _glances(w: World, rules: Rules) -> tuple[str, tuple[str, World]]:
    """The next load of the reader in another thread. Whether it accepts is decided by the time it looks at last."""
    if w.glance is None:
        if rules.deadline_before_entry:
            return "", ("reader loads the deadline", w._replace(glance=(w.lease, False)))
        return "", ("reader looks up", w._replace(glance=(None, True) if w.table else None))
    deadline, found = w.glance
    if not found:
        return "", ("reader looks up", w._replace(glance=(deadline, True) if w.table else None))
    until = w.lease if deadline is None else deadline
    accepts = w.now < until or not rules.hit_needs_lease
    return "hit in another thread" if accepts else "", ("reader compares", w._replace(glance=None))


def _without_dead_glance(w: World, rules: Rules) -> World:
    """A deadline that has passed accepts nothing any more, so nobody need follow it."""
    dead = w.glance is not None and w.glance[0] is not None and w.glance[0] <= w.now and rules.hit_needs_lease
    return w._replace(glance=None) if dead else w


def _reads(w: World, name: str, read: Read, rules: Rules) -> list[tuple[str, World]]:
    if read is None:
        return [(f"{name} begins", w._replace(**{name: (w.now, None)}))]
    began, saw = read
    if saw is None:
        return [
            (f"{name} sees", w._replace(**{name: (began, w.committed)})),
            (f"{name} sees a page", w._replace(**{name: (began, PAGE)})),
        ]
    if saw is PAGE and rules.last_page_before_lease:
        return [(f"{name} reads on", w._replace(**{name: None}))]
    until = max(w.lease, (began if rules.lease_from_begin else w.now) + S)
    done = w._replace(**{name: None}, lease=until)
    if rules.apply_before_lease:
        done = done._replace(known=w.known or saw is True, table=w.table and saw is not True)
    return [(f"{name} ends", done)]
