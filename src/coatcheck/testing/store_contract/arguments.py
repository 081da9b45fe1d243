"""What no store takes, and every store refuses in the same words."""

# ruff: noqa: S101 - a suite asserts
from __future__ import annotations

import datetime
import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import pytest

from ...errors import Rejected
from ...model import Account, Device, Kind
from ...stores.base import AccountStore, SessionStore
from .support import Contract, events_after, here, logged_in, new_session, new_subject

_WHEN: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_NOT_A_TEXT: Final[tuple[Any, ...]] = (7, UUID(int=7), b"ann", True, None, ["ann"])
_NOT_A_TIME: Final[tuple[Any, ...]] = ("1", _WHEN, _WHEN.replace(tzinfo=None), datetime.timedelta(1), True, None)
_NO_MOMENT: Final = (float("nan"), float("inf"), float("-inf"), 1e300, 1 << 80)
_WRONG: Final[dict[str, tuple[Any, ...]]] = {
    "str": _NOT_A_TEXT,
    "str | None": tuple(value for value in _NOT_A_TEXT if value is not None),
    "float": _NOT_A_TIME,
    "float | None": tuple(value for value in _NOT_A_TIME if value is not None),
    "int": ("1", 1.5, True, None),
    "int | None": ("1", 1.5, True),
    "bool": (1, "yes", None),
    "Session": (None, "session", {}),
    "Account": (None, "account", {}),
    "Sequence[Touch]": (None, "touches", 7, ["touch"], [None]),
    "Iterable[str]": ("admin", b"admin", 7, None, [7], ["admin", None]),
    "tuple[str, ...] | None": ("pwd", 7, (7,)),
    "frozenset[Kind]": (None, 7, Kind.KEY, "key", {"keys"}, [None]),
    "Mapping[str, Any] | None": (7, "data", [1]),
}
"""By how a parameter is declared."""
_OURS_ALONE: Final = {"failures", "count_try", "settle_try"}
"""What only `coatcheck.accounts.throttle` calls."""


class ArgumentContract(Contract):
    """Wrong kinds of things, at every parameter of every method: one that is added is tried without being named."""

    async def test_sessions_take_no_other_kind(self, store: Any) -> None:
        """`TypeError`, or `Rejected` for data that is not JSON; and nothing has changed."""
        await _try_all(SessionStore, store)

    async def test_a_subject_is_text(self, store: Any) -> None:
        """The natural mistake, a key of a database, is told what to write; who is meant stays logged in, unnoticed."""
        session = await logged_in(store, "7")
        cursor = await here(store)
        wrong: tuple[Any, ...] = (7, UUID(int=7))
        for subject in wrong:
            calls = [
                store.revoke_subject(subject, now=session.created),
                store.step_version(subject, now=session.created),
                store.standing_of(subject),
                store.sessions_of(subject, now=session.created),
                store.create(replace(new_session(session.created), subject=subject), now=session.created),
            ]
            for call in calls:
                with pytest.raises(TypeError, match=r"pass str\(user\.id\)"):
                    await call
        assert await events_after(store, cursor) == []
        assert await store.find(session.id, now=session.created) is not None

    @pytest.mark.parametrize("now", _NO_MOMENT, ids=str)
    async def test_a_time_is_finite(self, store: Any, now: float) -> None:
        """What is no moment ends nobody's session and makes none."""
        session = await logged_in(store)
        cursor = await here(store)
        for call in (
            store.revoke(session.id, now=now),
            store.revoke_subject(session.subject, now=now),
            store.find(session.id, now=now),
            store.rotate(session.id, 0, window=30.0, now=now),
            store.rotate(session.id, 0, window=now, now=session.created),
            store.prune(now=now, keep_events=900.0),
            store.create(new_session(session.created, created=now), now=session.created),
        ):
            with pytest.raises(ValueError, match="finite"):
                await call
        assert await events_after(store, cursor) == []
        assert await store.find(session.id, now=session.created) is not None

    @pytest.mark.parametrize("half", ["\ud800", "a\0b"], ids=["surrogate", "NUL"])
    async def test_what_is_no_text_is_rejected(self, store: Any, half: str) -> None:
        """A lone surrogate and NUL, which not every database keeps, wherever text goes in; and nothing has changed."""
        session = await logged_in(store)
        cursor = await here(store)
        now = session.created
        for call in (
            store.standing_of(half),
            store.revoke_subject(half, now=now),
            store.step_version(half, now=now),
            store.sessions_of(half, now=now),
            store.find(half, now=now),
            store.revoke(half, now=now),
            store.revoke_token(session.id, half, now=now),
            store.update(session.id, 0, now=now, amr=(half,)),
            store.revoke_subject(session.subject, now=now, excepted=half),
            store.create(replace(new_session(now), subject=half), now=now),
            # What names nothing may hold a NUL.
            store.update(session.id, 0, now=now, label=half.replace("\0", "\ud800")),
            store.create(replace(new_session(now), device=Device(user_agent=half.replace("\0", "\ud800"))), now=now),
        ):
            with pytest.raises(Rejected):
                await call
        assert await events_after(store, cursor) == []
        assert await store.find(session.id, now=now) is not None

    @pytest.mark.parametrize("half", ["\ud800", "a\0b"], ids=["surrogate", "NUL"])
    async def test_accounts_reject_what_is_no_text(self, store: Any, half: str) -> None:
        """The same for a store that keeps accounts."""
        if not isinstance(store, AccountStore):
            return
        account = Account(id=new_subject(), email="a@example.com", email_key=new_subject(), password_hash="")
        for call in (
            store.insert(replace(account, id=half)),
            store.insert(replace(account, email=half)),
            store.insert(replace(account, email_key=half)),
            store.insert(replace(account, password_hash=half)),
            store.insert(replace(account, roles=frozenset({half}))),
            store.by_id(half),
            store.by_email(half),
            store.set_password_hash(half, "", expected=""),
            store.set_password_hash(account.id, half, expected=""),
            store.set_roles(half, ()),
            store.set_disabled(half, True),
            store.page(search=half.replace("\0", "\ud800")),  # for a NUL nothing is found
            store.count_failure(half, now=0.0, window=1.0),
        ):
            with pytest.raises(Rejected):
                await call
        assert await store.by_id(account.id) is None

    async def test_accounts_take_no_other_kind(self, store: Any) -> None:
        """The same for a store that keeps accounts."""
        if isinstance(store, AccountStore):
            await _try_all(AccountStore, store)


async def _try_all(protocol: type, store: Any) -> None:
    session = await logged_in(store)
    cursor = await here(store)
    good = _good(session, new_session(session.created))
    for name, parameter, value, keywords in _calls(protocol, good):
        try:
            await getattr(store, name)(**keywords)
        except (TypeError, Rejected):
            continue
        pytest.fail(f"{name} takes {value!r} as {parameter}")
    assert await events_after(store, cursor) == []
    standing = await store.find(session.id, now=session.created)
    assert standing is not None
    assert standing.session == session


def _calls(protocol: type, good: dict[str, Any]) -> Iterator[tuple[str, str, Any, dict[str, Any]]]:
    """Each method with one wrong value at a time, the others being right."""
    for name, method in inspect.getmembers(protocol, inspect.iscoroutinefunction):
        if name.startswith("_") or name in _OURS_ALONE:
            continue
        parameters = [one for one in inspect.signature(method).parameters.values() if one.name != "self"]
        needed = {one.name: good[one.name] for one in parameters if one.default is one.empty}
        for one in parameters:
            for value in _WRONG[str(one.annotation)]:
                yield name, one.name, value, needed | {one.name: value}


def _good(session: Any, another: Any) -> dict[str, Any]:
    """Right values by the names of parameters."""
    return {
        "session": another,
        "session_id": session.id,
        "subject": session.subject,
        "token_id": "token",
        "now": session.created,
        "touches": [],
        "generation": 0,
        "version": 0,
        "window": 30.0,
        "wait": 0.0,
        "keep_events": 900.0,
        "cursor": None,
        "feed": "another",
        "since": session.created,
        "account": None,
        "account_id": new_subject(),
        "email_key": "nobody@example.com",
        "password_hash": "",
        "expected": "",
        "roles": (),
        "disabled": False,
        "key": new_subject(),
    }
