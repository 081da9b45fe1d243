"""What every public function says of an argument that cannot be meant: the same whichever store is behind it.

The wrong kind of thing is a `TypeError` that names what to pass; the right kind with a content that no store could keep
is `Rejected`. Both before anything is asked or changed. Nothing here is on the way of a credential that is known.
"""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, ParamSpec, TypeVar

from .errors import ConfigurationError, Rejected

MAX_SUBJECT: Final = 512
"""Characters of a subject: what an index of PostgreSQL surely takes."""

UNSTORABLE: Final = "text must be valid Unicode without NUL and numbers within 64 bits"
"""What is said of input that a store cannot keep."""

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_REMEDIES: Final = {
    "subject": "pass str(user.id)",
    "account_id": "pass str(user.id)",
    "session_id": "pass session.id",
    "excepted": "pass session.id",
    "keep": "pass session.id",
    "token_id": "pass identity.token_id",
    "credential": "pass bearer(token)",
}


def texts(**named: object) -> None:
    """Raise `TypeError` unless each is a text, and `Rejected` for what not every store keeps: NUL, and half a
    character (a lone surrogate)."""
    free_texts(**named)
    if any("\0" in value for value in named.values() if isinstance(value, str)):
        raise Rejected(UNSTORABLE)


def free_texts(**named: object) -> None:
    """The same for what names nothing, and is kept or looked for with NUL in it too."""
    for name, value in named.items():
        if not isinstance(value, str):
            remedy = _REMEDIES.get(name, "pass text")
            raise TypeError(f"{name} must be a text (str), not {_kind(value)}: {remedy}")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Rejected(UNSTORABLE) from None


def texts_or_none(**named: object) -> None:
    """The same, where one that is None was not given."""
    texts(**{name: value for name, value in named.items() if value is not None})


def free_texts_or_none(**named: object) -> None:
    """The same, where one that is None was not given."""
    free_texts(**{name: value for name, value in named.items() if value is not None})


def subject(value: object, name: str = "subject") -> None:
    """Raise `TypeError` unless it is a text, and `Rejected` for one that is nobody's: empty or too long."""
    texts(**{name: value})
    if not value:
        raise Rejected(f"{name} must not be empty: pass str(user.id)")
    if isinstance(value, str) and len(value) > MAX_SUBJECT:
        raise Rejected(f"{name} may have {MAX_SUBJECT} characters at most")


def numbers(**named: object) -> None:
    """Raise `TypeError` unless each is a number, and `ValueError` for what is none, or is not finite."""
    for name, value in named.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name} must be a number of seconds, not {_kind(value)}{_seconds(value)}")
        # A whole number of any size can be compared; only its conversion to a float may overflow.
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name} must be a finite number of seconds")


def numbers_or_none(**named: object) -> None:
    """The same, where one that is None was not given."""
    numbers(**{name: value for name, value in named.items() if value is not None})


def wholes(**named: object) -> None:
    """Raise `TypeError` unless each is a whole number, and `Rejected` for one of more than 64 bits."""
    for name, value in named.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be a whole number (int), not {_kind(value)}")
        if not -(2**63) <= value < 2**63:
            raise Rejected(UNSTORABLE)


def wholes_or_none(**named: object) -> None:
    """The same, where one that is None was not given."""
    wholes(**{name: value for name, value in named.items() if value is not None})


def flags(**named: object) -> None:
    """Raise `TypeError` unless each is True or False."""
    for name, value in named.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, not {_kind(value)}")


def kinds(kind: type, **named: object) -> None:
    """Raise `TypeError` unless each is of this kind, whatever is in it."""
    for name, value in named.items():
        if not isinstance(value, kind):
            remedy = f": {_REMEDIES[name]}" if name in _REMEDIES else ""
            raise TypeError(f"{name} must be {kind.__name__}, not {_kind(value)}{remedy}")


def mappings_or_none(**named: object) -> None:
    """Raise `TypeError` unless each is a mapping of names, or None, which was not given."""
    for name, value in named.items():
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(f"{name} must be a mapping such as {{'theme': 'dark'}}, not {_kind(value)}")


def collection(kind: type[T], values: Iterable[Any], name: str, like: str) -> tuple[T, ...]:
    """Its members, read once. Raises `TypeError` where it is one text, which has letters and no members, is nothing to
    go through, or has members of another kind."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a collection such as {like}, not {_kind(values)}")
    found = tuple(values)
    for one in found:
        if not isinstance(one, kind):
            raise TypeError(f"{name} must hold {kind.__name__} only, not {_kind(one)}: such as {like}")
    if kind is str:
        texts(**{f"{name}[{place}]": one for place, one in enumerate(found)})
    return found


def member(kind: type[E], value: object, name: str) -> E:
    """The member of an enumeration, which may also be given as its text. Raises `TypeError` with the choices for
    anything else."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str):
        if value in kind._value2member_map_:
            return kind(value)
        raise TypeError(f"{name} must be one of {_choices(kind)}{meant(value, list(kind))}")
    raise TypeError(f"{name} must be one of {_choices(kind)}, not {_kind(value)}")


def member_or_none(kind: type[E], value: object, name: str) -> E | None:
    """The same, where None was not given."""
    return None if value is None else member(kind, value, name)


def members(kind: type[E], values: Iterable[object], name: str) -> tuple[E, ...]:
    """The members of an enumeration, each given as `member` takes it. Raises `TypeError` also for one text."""
    if isinstance(values, str):
        like = values if values in kind._value2member_map_ else next(iter(kind))
        raise TypeError(f"{name} must be a list, not one text: write {name.rpartition('.')[2]}=[{str(like)!r}]")
    if isinstance(values, bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list of {_choices(kind)}, not {_kind(values)}")
    return tuple(member(kind, value, f"each of {name}") for value in values)


def _choices(kind: type[StrEnum]) -> str:
    return ", ".join(repr(str(one)) for one in kind)


def meant(name: str, known: Iterable[str]) -> str:
    """What to say after a name that is none of the known ones: which of them was meant, if that can be told."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Which of the known names was meant; empty where that cannot be told."""
    from difflib import get_close_matches

    close = get_close_matches(name, [str(one) for one in known], n=1)
    return close[0] if close else ""


class Named:
    """The base of what is made of keywords: one that there is none of is refused with the name that was meant."""

    __slots__ = ()
    _refusal: ClassVar[type[Exception]] = TypeError
    """What is raised."""

    @classmethod
    def _instead(cls, name: str) -> str:
        """What to write for a name that there is none of, where that is not told by what it looks like."""
        return ""

    if not TYPE_CHECKING:  # who checks types goes by __init__, which says it all

        def __new__(cls, *placed: Any, **given: Any) -> Any:
            name, wrong = _names(cls.__init__).wrong(cls.__name__, placed, given)
            if wrong:
                instead = cls._instead(name) if name else ""
                raise cls._refusal(f"{cls.__name__} has no setting {name}: write {instead}" if instead else wrong)
            return super().__new__(cls)


def named(function: Callable[P, T]) -> Callable[P, T]:
    """A function that refuses a keyword which it has not with the name that was meant, and what has to have its name
    and comes without. Raises `TypeError`; type checkers see the function as it is."""
    known = _Names(function)

    @wraps(function)
    def called(*placed: P.args, **given: P.kwargs) -> T:
        _, wrong = known.wrong(function.__name__, placed, given)
        if wrong:
            raise TypeError(wrong)
        return function(*placed, **given)

    return called


_OF_AUTH: Final = (
    "sessions", "secret", "policy", "subjects", "password_hasher", "password_policy", "clock", "features",
)  # fmt: skip
"""What is given to an `Auth`, and to nothing that takes one."""
_FEW: Final = 12
"""So many names can be listed in a line."""


class _Names:
    """What a function may be called with."""

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = inspect.signature(function).parameters.values()
        found = [one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
        self.takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters)
        self.takes_any_number = any(one.kind is one.VAR_POSITIONAL for one in parameters)
        self.by_place = [one.name for one in found if one.kind is one.POSITIONAL_OR_KEYWORD and one.name != "self"]
        self.by_name = [one.name for one in found if one.kind is one.KEYWORD_ONLY]
        self.all = frozenset((*self.by_place, *self.by_name))

    def wrong(self, of: str, placed: Sequence[object], given: Mapping[str, object]) -> tuple[str, str]:
        """The name that there is none of, and what to say of these arguments. Empty: nothing."""
        if len(placed) > len(self.by_place) and not self.takes_any_number:
            return "", self._nameless(of, placed)
        for name in () if self.takes_all or given.keys() <= self.all else given:
            if name not in self.all:
                return name, f"{of} has no setting {name}{self._meant(of, name)}"
        return "", ""

    def _nameless(self, of: str, placed: Sequence[object]) -> str:
        shown = ", ".join([*self.by_place, *(f"{name}=..." for name in self.by_name[:2])])
        if not self.by_place and inspect.isroutine(placed[0]):
            return f"@{of} stands without its call: write @{of}({shown})"
        which = f"only {', '.join(self.by_place)}" if self.by_place else "nothing"
        return f"{of} takes {which} without a name: write {of}({shown})"

    def _meant(self, of: str, name: str) -> str:
        known = [*self.by_place, *self.by_name]
        near = nearest(name, [*known, *(("url", *_OF_AUTH) if "auth" in known else ())])
        if near in known:
            return f"; did you mean {near}?"
        if near:
            app, more = "app, " if "app" in known else "", "" if near == "url" else f", {near}=..."
            return f": that is for the Auth, so write {of}({app}Auth(url{more}))"
        return f"; known: {', '.join(known)}" if len(known) <= _FEW else ""


_names: Final = cache(_Names)


def settings(of: str, defaults: Mapping[str, object], **named: object) -> None:
    """Raise `ConfigurationError` for a setting that is of another kind than its default. ``of``: what comes before its
    name."""
    for name, value in named.items():
        default = defaults[name]
        if isinstance(default, tuple):
            fits, like = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)), "a list"
        elif isinstance(default, str):
            fits, like = isinstance(value, str), "a text"
        elif isinstance(default, int):
            fits, like = isinstance(value, int) and not isinstance(value, bool), "a whole number"
        elif isinstance(default, float):
            fits, like = isinstance(value, (int, float)) and not isinstance(value, bool), "a number of seconds"
        else:
            fits, like = isinstance(value, type(default)), f"such as {default!r}"
        if like == "a list" and isinstance(value, str):
            raise ConfigurationError(f"{of}{name} must be a list, not one text")
        if not fits:
            raise ConfigurationError(f"{of}{name} must be {like}, not {_kind(value)}{_seconds(value)}")


def application(kind: type, app: object, write: str) -> None:
    """Raise `TypeError` unless it is an application of this kind. ``write``: what to write."""
    if not isinstance(app, kind):
        given = f"the class {app.__name__}" if isinstance(app, type) else _kind(app)
        raise TypeError(f"app must be a {kind.__name__} application, not {given}: write {write}")


def kinds_or_none(kind: type, **named: object) -> None:
    """As `kinds`, where one that is None was not given."""
    kinds(kind, **{name: value for name, value in named.items() if value is not None})


def place(value: object, name: str) -> None:
    """Raise `TypeError` unless it is a URL or a store."""
    if not isinstance(value, str) and not (hasattr(value, "standing_of") and hasattr(value, "close")):
        raise TypeError(f"{name} must be a URL such as sqlite:///app.db or a store, not {_kind(value)}")


def secret(value: object) -> None:
    """Raise `TypeError` unless it is a secret, a sequence of them, or None. What it is is never repeated."""
    if value is None or isinstance(value, (str, bytes)):
        return
    if not isinstance(value, Sequence) or not all(isinstance(one, (str, bytes)) for one in value):
        raise TypeError("secret must be text or bytes, or a list of these, the newest first")


def functions(**named: object) -> None:
    """Raise `TypeError` unless each is a function that answers when it is called. What an ``async`` one gives is true
    whatever it would have said."""
    for name, value in named.items():
        if not callable(value):
            raise TypeError(f"{name} must be a function, not {_kind(value)}")
        for called in (value, getattr(value, "__call__", None)):  # noqa: B004 - an object may have an async one
            if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
                raise TypeError(f"{name} must be an ordinary function, not an async one: nothing here awaits it")


def answered(kind: type[T], value: object, name: str) -> T:
    """What a function of the application's gave. Raises `TypeError` where it is of another kind, such as text in the
    place of True or False."""
    if isinstance(value, kind):
        return value
    _give(f"{name} must give {'True or False' if kind is bool else kind.__name__}", value)


def answered_or_none(kind: type[T], value: object, name: str) -> T | None:
    """The same, where None says that there is nobody."""
    if value is None or isinstance(value, kind):
        return value
    _give(f"{name} must give {kind.__name__} or None", value)


def _give(demand: str, value: object) -> NoReturn:
    if inspect.iscoroutine(value):
        value.close()  # nobody awaits it
    raise TypeError(f"{demand}, not {_kind(value)}")


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _seconds(value: object) -> str:
    if isinstance(value, datetime.datetime):
        return ": pass when.timestamp(), and let it have a time zone"
    if isinstance(value, datetime.timedelta):
        return ": pass duration.total_seconds()"
    return ""
