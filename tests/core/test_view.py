"""The revocation view: what it refuses, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coatcheck.errors import ExpiredCredential, RevokedCredential, StaleCredential
from coatcheck.model import Event, EventKind, Mode, Session, Standing
from coatcheck.stores.base import CLOCK_STEP
from coatcheck.view import _FREED_AT_ONCE, Overtaken, RevocationView

RETENTION = 100.0


@pytest.fixture
def view() -> RevocationView:
    fresh = RevocationView(RETENTION)
    fresh.cover(0.0)
    return fresh


def standing(*, epoch: int = 0, version: int = 0, session_version: int = 0, session_id: str = "s") -> Standing:
    session = Session(
        id=session_id, subject="u", epoch=epoch, mode=Mode.SESSION, created=0, authenticated=0, seen=0, idle_timeout=60,
        idle_deadline=60, absolute_deadline=600, version=session_version,
    )  # fmt: skip
    return Standing(session=session, epoch=epoch, version=version)


def token(
    view: RevocationView, *, session_id: str = "s", token_id: str = "t", epoch: int = 0, version: int = 0
) -> None:
    view.check_access(session_id=session_id, token_id=token_id, subject="u", epoch=epoch, version=version)


def event(kind: EventKind, number: int = 0, *, session_id: str = "", token_id: str = "") -> Event:
    return Event(kind=kind, at=0.0, subject="u", session_id=session_id, token_id=token_id, number=number)


REVOKED = event(EventKind.SESSION_REVOKED, session_id="s")
CUT_OFF = event(EventKind.SUBJECT_CUT_OFF, 1)


def test_empty_view_refuses_nothing(view: RevocationView) -> None:
    """Without events everything stands."""
    token(view)
    view.check_standing(standing())


@pytest.mark.parametrize("happened", [REVOKED, CUT_OFF])
def test_ended(view: RevocationView, happened: Event) -> None:
    """A revoked session and a cut-off subject are refused; others are not."""
    view.apply(happened)
    with pytest.raises(RevokedCredential):
        token(view)
    with pytest.raises(RevokedCredential):
        view.check_standing(standing())
    token(view, session_id="other", epoch=1)
    view.check_standing(standing(session_id="other", epoch=1))


def test_only_the_latest_exception_counts(view: RevocationView) -> None:
    """A session that one cut-off spared and a later one did not is refused."""
    view.apply(event(EventKind.SUBJECT_CUT_OFF, 1, session_id="s"))
    token(view)
    view.apply(event(EventKind.SUBJECT_CUT_OFF, 2, session_id="other"))
    with pytest.raises(RevokedCredential):
        token(view)


def test_late_event_changes_nothing(view: RevocationView) -> None:
    """Events that are applied again, or late, lower no floor."""
    view.apply(event(EventKind.SUBJECT_CUT_OFF, 2))
    view.apply(event(EventKind.SUBJECT_CUT_OFF, 1, session_id="s"))
    with pytest.raises(RevokedCredential):
        token(view, epoch=1)
    view.apply(event(EventKind.SUBJECT_CHANGED, 2))
    view.apply(event(EventKind.SUBJECT_CHANGED, 1))
    with pytest.raises(StaleCredential):
        token(view, epoch=2, version=1)
    view.apply(event(EventKind.SESSION_CHANGED, 2, session_id="s"))
    view.apply(event(EventKind.SESSION_CHANGED, 1, session_id="s"))
    with pytest.raises(Overtaken):
        view.check_standing(standing(epoch=2, version=2, session_version=1))


def test_changed_subject(view: RevocationView) -> None:
    """An access token of an older version is stale; a store read of an older version was overtaken."""
    view.apply(event(EventKind.SUBJECT_CHANGED, 3))
    with pytest.raises(StaleCredential):
        token(view, version=2)
    token(view, version=3)
    with pytest.raises(Overtaken):
        view.check_standing(standing(version=2))
    view.check_standing(standing(version=3))


def test_changed_session(view: RevocationView) -> None:
    """A store read of a session before its change was overtaken."""
    view.apply(event(EventKind.SESSION_CHANGED, 2, session_id="s"))
    with pytest.raises(Overtaken):
        view.check_standing(standing(session_version=1))
    view.check_standing(standing(session_version=2))


def test_revoked_token(view: RevocationView) -> None:
    """One access token is refused by its id, its session's others are not."""
    view.apply(event(EventKind.TOKEN_REVOKED, session_id="s", token_id="t"))
    with pytest.raises(RevokedCredential):
        token(view)
    token(view, token_id="another")


@pytest.mark.parametrize(
    "happened",
    [
        REVOKED,
        CUT_OFF,
        event(EventKind.TOKEN_REVOKED, session_id="s", token_id="t"),
        event(EventKind.SUBJECT_CHANGED, 1),
    ],
)
def test_kept_as_long_as_it_matters(view: RevocationView, happened: Event) -> None:
    """An event is known for at least the retention, at whatever moment it comes, and for at most twice that."""
    for start in (1.0, 50.0, 99.0, 100.5):
        view.reset()
        view.cover(0.0)
        view.forget(start, start)
        view.apply(replace(happened, at=start))
        moment = start
        while moment < start + RETENTION:
            view.forget(moment, moment)
            with pytest.raises((RevokedCredential, StaleCredential)):
                token(view)
            moment += 7.0
        for moment in range(int(start + RETENTION), int(start + 2 * RETENTION) + 10):
            view.forget(float(moment), float(moment))
        token(view)


def test_what_it_covers(view: RevocationView) -> None:
    """A view covers tokens that were issued, with the slack, after it began; a fresh one covers nothing."""
    assert not RevocationView(RETENTION).covers(1e12, 0.0)
    view.cover(1000.0)
    assert view.covers(1060.0, 60.0)
    assert not view.covers(1059.9, 60.0)


def test_forgets_in_small_steps(view: RevocationView) -> None:
    """What has ceased to matter is not answered any more at once, and freed little by little."""
    for number in range(3 * _FREED_AT_ONCE):
        view.apply(replace(event(EventKind.SUBJECT_CUT_OFF, 1), subject=f"u{number}"))
    cut_offs = view._new.cut_offs
    sizes = []
    for moment in range(8):
        view.forget(moment * (RETENTION + 1), moment * (RETENTION + 1))
        sizes.append(len(cut_offs))
    assert sizes == [3 * _FREED_AT_ONCE] * 3 + [2 * _FREED_AT_ONCE, _FREED_AT_ONCE, 0, 0, 0]
    view.check_access(session_id="s", token_id="t", subject="u0", epoch=0, version=0)


def test_both_clocks_must_say_that_it_is_time(view: RevocationView) -> None:
    """Neither two jumps of the store's clock nor one that stands still has an event forgotten that still matters."""
    view.forget(1000.0, 0.0)
    view.apply(replace(REVOKED, at=1000.0))
    for now in (1001.0, 1001 + RETENTION * 2, 1001.0, 1001 + RETENTION * 5, 1001.0):
        view.forget(now, 1.0)
        with pytest.raises(RevokedCredential):
            token(view)
    for local in range(0, int(RETENTION * 5), 10):
        view.forget(1000.0 + RETENTION / 2, float(local))
        with pytest.raises(RevokedCredential):
            token(view)
    for step in range(3):
        view.forget(1001 + RETENTION * (step + 1), RETENTION * (6 + step * 2))
    token(view)


def aged(view: RevocationView, issued_at: float) -> None:
    view.check_access(session_id="x", token_id="y", subject="z", epoch=0, version=0, issued_at=issued_at)


def test_what_was_forgotten_lets_nobody_in(view: RevocationView) -> None:
    """When an event is dropped, tokens that were issued before it are refused; later ones are not."""
    view.forget(0.0, 0.0)
    view.apply(replace(REVOKED, at=50.0))
    aged(view, 50.0)
    for step in range(1, 4):
        view.forget(step * (RETENTION + 1), step * (RETENTION + 1))
    with pytest.raises(ExpiredCredential):
        aged(view, 50.0 + CLOCK_STEP)
    aged(view, 50.1 + CLOCK_STEP)


@pytest.mark.parametrize("kind", [EventKind.SUBJECT_CUT_OFF, EventKind.SUBJECT_CHANGED])
def test_what_is_later_than_it_knows_is_not_settled(view: RevocationView, kind: EventKind) -> None:
    """A token of an epoch or version above those it has heard of: its event is yet to come, or was lost."""
    named = "epoch" if kind is EventKind.SUBJECT_CUT_OFF else "version"
    numbers = {"epoch": 0, "version": 0}
    assert view.settles(0.0, 0.0, "u", **numbers | {named: 7}), "it has heard of none"
    view.apply(event(kind, 5))
    assert view.settles(0.0, 0.0, "u", **numbers | {named: 5})
    assert view.settles(0.0, 0.0, "u", **numbers | {named: 4}), "and refuses it"
    assert not view.settles(0.0, 0.0, "u", **numbers | {named: 6})
    assert view.settles(0.0, 0.0, "another", **numbers | {named: 6})
    view.apply(event(kind, 9))
    assert not view.settles(0.0, 0.0, "u", **numbers | {named: 9}), "of the two, 9 may be the lost one"


def test_what_comes_after_a_loss_stays(view: RevocationView) -> None:
    """Emptied at the loss, it covers nothing until a read says so; what is applied in between is known."""
    view.reset()
    assert not view.covers(1e12, 0.0)
    view.apply(REVOKED)
    view.cover(0.0)
    with pytest.raises(RevokedCredential):
        token(view)
