"""Exhaustive check of cut-offs by kind: one subject, a login and a key, cut-offs that end one of these kinds, the other
or both, and a running older version that knows no kinds.

Two kinds stand for five, and a cut-off for one step of the store. Logging in takes two steps, the epoch is read before;
an access token is issued when a session is made, and again by a refresh at any later time. There are two processes
which have applied every event that there is (when they have is `lease_model`'s affair): P of this version, and O of the
older one, which reads the same rows and events, and steps the same epoch.

Violations:

- lives: a session is live though a cut-off of its kind came after its epoch was read.
- accepted: P takes an access token that a cut-off of its kind came after.
- taken for a login: O lets a key in, by its session or by its token.
- outlives: O lets a login in that a cut-off of its kind came after.
- ended for nothing: a session is over, or P refuses its token, though no cut-off of its kind has come, nor one by O.

Every interleaving is explored. Each rule can be switched off, to see that it carries weight.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

LOGIN, KEY = 0, 1
KINDS = ((LOGIN,), (KEY,), (LOGIN, KEY))
CUT_OFFS = 3
HIDDEN = 1000
"""Is added to the epoch in the row of a key."""


class Holder(NamedTuple):
    """A session, or a login under way."""

    read: int = -1
    """The epoch that was read before; -1 before it was."""
    row: int = -1
    """The epoch in its row; -1 before there is one."""
    token: int = -1
    """The epoch in its access token."""
    ended: bool = False
    """A cut-off of its kind came after the epoch was read."""
    wronged: bool = False
    """So did one by O, which ends whatever there is."""
    token_ended: bool = False
    """A cut-off of its kind came after the token was issued."""


class World(NamedTuple):
    epoch: int = 0
    cuts: tuple[int, int] = (0, 0)
    """The latest cut-off of each kind, and the epoch that this was written with."""
    cuts_at: int = 0
    told: tuple[tuple[int, tuple[int, ...] | None], ...] = ()
    """The events: the epoch, and the kinds that were spared; None where O has written it, who knows of none."""
    holders: tuple[Holder, Holder] = (Holder(), Holder())


class Rules(NamedTuple):
    create_looks_at_its_kind: bool = True
    row_has_cut_of_its_kind: bool = True
    cuts_count_with_their_epoch: bool = True
    every_cut_off_steps_the_epoch: bool = True
    cuts_of_the_spared_are_kept: bool = True
    event_tells_who_is_spared: bool = True
    view_keeps_a_cut_for_each_kind: bool = True
    token_has_the_epoch: bool = True
    keys_are_hidden: bool = True
    tokens_of_keys_are_marked: bool = True


BUILT = Rules()
"""All in force, as in the code."""


def explore(rules: Rules = BUILT) -> str:
    """ "holds in N states", or the shortest way to a violation."""
    start = World()
    seen, todo = {start}, deque([(start, ())])
    while todo:
        world, path = todo.popleft()
        wrong = _violation(world, rules)
        if wrong:
            return f"VIOLATION ({wrong}): {' > '.join(path)}"
        for name, other in _steps(world, rules):
            if other not in seen:
                seen.add(other)
                todo.append((other, (*path, name)))
    return f"holds in {len(seen)} states"


def cut_of(w: World, kind: int, rules: Rules) -> int:
    """The latest cut-off of a kind, as this version reads it."""
    if rules.cuts_count_with_their_epoch and w.cuts_at != w.epoch:
        return w.epoch
    return w.cuts[kind]


def _in_row(kind: int, epoch: int, rules: Rules) -> int:
    return epoch + HIDDEN if kind is KEY and rules.keys_are_hidden else epoch


def is_live(w: World, kind: int, rules: Rules) -> bool:
    row = w.holders[kind].row
    return row != -1 and row == _in_row(kind, cut_of(w, kind, rules), rules)


def _seen_by_p(w: World, kind: int, rules: Rules) -> int:
    """The latest cut-off of a kind that P's view knows of."""
    if not rules.view_keeps_a_cut_for_each_kind:  # the last event in the place of all
        number, spared = w.told[-1] if w.told else (0, ())
        return 0 if kind in (spared or ()) else number
    return max((number for number, spared in w.told if kind not in (spared or ())), default=0)


def _violation(w: World, rules: Rules) -> str:
    for kind, holder in enumerate(w.holders):
        if holder.row == -1:
            continue
        live, accepted = is_live(w, kind, rules), holder.token >= _seen_by_p(w, kind, rules)
        if live and holder.ended:
            return "lives"
        if accepted and holder.token_ended:
            return "accepted"
        if not (live and accepted) and not (holder.ended or holder.wronged):
            return "ended for nothing"
        row_is_let_in = holder.row == w.epoch
        token_is_let_in = holder.token >= max((number for number, _ in w.told), default=0)
        if kind is KEY:
            if row_is_let_in or (token_is_let_in and not rules.tokens_of_keys_are_marked):
                return "taken for a login"
        elif (row_is_let_in and holder.ended) or (token_is_let_in and holder.token_ended):
            return "outlives"
    return ""


def _steps(w: World, rules: Rules) -> list[tuple[str, World]]:
    following: list[tuple[str, World]] = []
    for kind, holder in enumerate(w.holders):
        name = ("login", "key")[kind]
        if holder.read == -1:
            following.append((f"{name} reads", _with(w, kind, Holder(read=w.epoch))))
        elif holder.row == -1:
            least = cut_of(w, kind, rules) if rules.create_looks_at_its_kind else 0
            if least <= holder.read <= w.epoch:
                cut = cut_of(w, kind, rules) if rules.row_has_cut_of_its_kind else holder.read
                token = holder.read if rules.token_has_the_epoch else cut
                made = holder._replace(row=_in_row(kind, cut, rules), token=token)
                following.append((f"{name} is made", _with(w, kind, made)))
        elif is_live(w, kind, rules):
            token = w.epoch if rules.token_has_the_epoch else 0
            following.append((f"{name} refreshes", _with(w, kind, holder._replace(token=token, token_ended=False))))
    if len(w.told) < CUT_OFFS:
        following += ((f"cut off {kinds}", _cut_off(w, kinds, rules)) for kinds in KINDS)
        following.append(("cut off by O", _cut_off_by_older(w)))
    return following


def _with(w: World, kind: int, holder: Holder) -> World:
    holders = list(w.holders)
    holders[kind] = holder
    return w._replace(holders=(holders[LOGIN], holders[KEY]))


def _ended(w: World, kinds: tuple[int, ...], *, wronged: bool = False) -> World:
    for kind, holder in enumerate(w.holders):
        if kind in kinds and holder.read != -1:
            w = _with(w, kind, holder._replace(ended=True, wronged=wronged, token_ended=holder.row != -1))
    return w


def _cut_off(w: World, kinds: tuple[int, ...], rules: Rules) -> World:
    epoch = w.epoch + 1 if rules.every_cut_off_steps_the_epoch or LOGIN in kinds else w.epoch
    before = [cut_of(w, kind, rules) if rules.cuts_of_the_spared_are_kept else 0 for kind in (LOGIN, KEY)]
    cuts = [epoch if kind in kinds else before[kind] for kind in (LOGIN, KEY)]
    spared = tuple(kind for kind in (LOGIN, KEY) if kind not in kinds) if rules.event_tells_who_is_spared else None
    told = (*w.told, (epoch, spared))
    return _ended(w._replace(epoch=epoch, cuts=(cuts[LOGIN], cuts[KEY]), cuts_at=epoch, told=told), kinds)


def _cut_off_by_older(w: World) -> World:
    epoch = w.epoch + 1
    return _ended(w._replace(epoch=epoch, told=(*w.told, (epoch, None))), (LOGIN, KEY), wronged=True)
