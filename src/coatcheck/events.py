"""The one stream of what happens to accounts, sessions and keys. Log, metrics, audit trails and an application's own
functions subscribe to it; nothing has a log of its own.

Each act has one name from one list (`ACTS`, and what features add), says who, which session, from where and what came
of it, and is given to every subscriber at once (OWASP ASVS 16.2, 16.3). What an event must not hold is kept out of it
here and nowhere else: whatever looks like a credential or a password's hash, what the act was not declared to say, and
addresses that `Policy.event_addresses` does not want in clear.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from . import acting
from .acting import printable
from .addresses import Addresses, shown_email, shown_ip
from .frozen import FrozenDict

log: Final = logging.getLogger("coatcheck.events")

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}(\.[a-z][a-z0-9_]{0,30}){1,2}")
_DETAIL: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_TAKEN: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message", "asctime", "event", "at", "subject", "session", "by", "by_session", "ip"
}  # fmt: skip
"""What a record of `logging` or an event has already."""
_SECRET: Final = re.compile(
    r"cc[a-z]_[A-Za-z0-9_-]{16}"  # our own tokens
    r"|eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\."  # JWTs
    r"|\$(argon2|2[abxy]|scrypt|pbkdf2)"  # hashes of passwords
    r"|\b(argon2|bcrypt|bcrypt_sha256|scrypt|pbkdf2_\w+|md5|sha1)\$"  # Django's
    r"|\b(scrypt|pbkdf2):[^$ ]*\$"  # Werkzeug's
    r"|://[^/@: ]*:[^/@ ]+@"  # URLs with a password
    r"|-----BEGIN"
)
_WITHHELD: Final = "(withheld)"


@dataclass(frozen=True, slots=True)
class Act:
    """One kind of event. Raises `ValueError` for names that cannot be."""

    name: str
    """``session.started``: what it was done to, and what was done."""
    meaning: str
    """When it happens, in one line."""
    refused: bool = False
    """Whether somebody was refused or is in danger: the log's level is then warning, otherwise info."""
    details: tuple[str, ...] = ()
    """What it says besides, by name. Anything else is kept out."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of an event: it is such as session.started")
        for name in self.details:
            if name in _TAKEN or not _DETAIL.fullmatch(name):
                raise ValueError(f"{name!r} cannot be a detail of an event")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEvent:
    """Something that was done, or refused. Texts are empty where nothing is known."""

    act: Act
    at: float
    """Seconds since the Unix epoch, by the store's clock."""
    subject: str = ""
    """To whom it was done."""
    session: str = ""
    """Which session it was about; naming one is never enough to act as it."""
    by: str = ""
    """The subject who asked for it: for an administrator's acts, the administrator."""
    by_session: str = ""
    ip: str = ""
    """The address they asked from."""
    details: Mapping[str, str] = field(default_factory=FrozenDict)
    """What the act says besides, such as ``reason``: which check failed. A client is not told."""

    @property
    def name(self) -> str:
        """The act's name."""
        return self.act.name

    def said(self) -> dict[str, str]:
        """All that is known, by name."""
        own = {
            "subject": self.subject, "session": self.session, **self.details,
            "by": self.by, "by_session": self.by_session, "ip": self.ip,
        }  # fmt: skip
        return {name: value for name, value in own.items() if value}


Subscriber = Callable[[SecurityEvent], None]
"""Called where the event happens, in the event loop or a request's thread: it must not wait for anything."""


class Events:
    """The stream of one `Auth` or `RemoteVerifier`.

    ``now``: seconds since the Unix epoch by the store's clock. ``addresses``: how mail and network addresses are shown.
    """

    def __init__(self, now: Callable[[], float], addresses: Addresses = "clear") -> None:
        self._now = now
        self._addresses: Addresses = addresses
        self._subscribers: tuple[Subscriber, ...] = (_write_log,)
        self._changing = threading.Lock()  # threads subscribe too

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """From now on call this with every event; what is returned ends it. One that raises is logged, and neither
        stops what was done nor keeps the event from the others. Raises `TypeError` for what is no function, a class,
        and a coroutine or generator function: nobody would await what it gives."""
        if not _can_be_called(subscriber):
            raise TypeError("subscribe takes an ordinary function of one event; one that waits puts it in a queue")
        own: Subscriber = partial(subscriber)  # the same function may be subscribed twice, and each ended by itself
        with self._changing:
            self._subscribers = (*self._subscribers, own)

        def end() -> None:
            with self._changing:
                self._subscribers = tuple(other for other in self._subscribers if other is not own)

        return end

    def emit(self, act: Act, *, subject: str = "", session: str = "", ip: str = "", **details: str) -> None:
        """Tell every subscriber. Who asked, and from where, is what `acting` says; ``ip`` where that does not know."""
        actor = acting.actor()
        said = FrozenDict(
            (name, self._shown(name, value)) for name, value in details.items() if value and _is_declared(act, name)
        )
        event = SecurityEvent(
            act=act, at=self._now(), subject=_safe(subject), session=_safe(session),
            by=_safe(actor.by), by_session=_safe(actor.by_session),
            ip=shown_ip(printable(actor.ip or ip), self._addresses), details=said,
        )  # fmt: skip
        for subscriber in self._subscribers:
            _call(subscriber, event)

    def _shown(self, name: str, value: str) -> str:
        return shown_email(_safe(value), self._addresses) if name == "email" else _safe(value)


def _call(subscriber: Subscriber, event: SecurityEvent) -> None:
    try:
        subscriber(event)
    except Exception as error:
        log.error("a subscriber failed at %s", event.name, exc_info=error)


def _write_log(event: SecurityEvent) -> None:
    said = event.said()
    text = " ".join(f"{name}={json.dumps(value)}" for name, value in said.items())
    level = logging.WARNING if event.act.refused else logging.INFO
    log.log(level, "%s %s", event.name, text, extra={"event": event.name, **said})


def _is_declared(act: Act, name: str) -> bool:
    if name in act.details:
        return True
    log.error("%s was not declared to say %r, so it does not", act.name, name)
    return False


def _safe(text: str) -> str:
    """The beginning of a text, unless it holds what can be presented. What cannot be printed is escaped, so that
    nothing a client wrote begins a line of its own (ASVS 16.4.1)."""
    return _WITHHELD if _SECRET.search(text) else printable(text)


def _can_be_called(subscriber: object) -> bool:
    """Whether it is called and done: nobody awaits what a coroutine function gives, nor goes through a generator, and
    a class would make an object of each event."""
    called = (subscriber, getattr(type(subscriber), "__call__", None))  # noqa: B004 - it is looked at, not asked for
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if inspect.isclass(subscriber) or not callable(subscriber):
        return False
    return not any(is_kind(one) for one in called for is_kind in kinds)
