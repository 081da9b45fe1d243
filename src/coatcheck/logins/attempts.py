"""A login under way: what was proved so far, kept by whoever is logging in.

The attempt is a text with a MAC, ``cca_…``. Nothing is stored but that it is over. The order carries the guarantees:
the epoch in it was read before the first proof; the answer is checked before the attempt is taken, and the attempt is
taken before a session is made. So of two who finish one attempt one makes the session, and a logout everywhere, a
change of password or a disabled account in between ends the login under way.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NoReturn

import msgspec

from .. import acts
from ..accounts.logins import admitted
from ..accounts.throttle import Counters, Throttle
from ..credentials.opaque import OpaqueTokens
from ..errors import AttemptOver, Conflict, InvalidCredential, InvalidStep, StepRequired
from ..events import Events
from ..issuer import Credentials, Issuer
from ..model import PLAIN, Access, Device, Kind, Mode
from ..stores.base import SessionStore
from ..stores.rules import pack_access, unpack_access
from .requirement import grown, required
from .steps import Answer, Steps

LIFETIME: Final = 300.0
"""Seconds from the first proof in which a login must be finished."""
_PAUSE: Final = 0.05
_PAUSES: Final = 40
"""How often, and seconds how far apart, whoever comes second with the same answer looks for what the first makes."""


class _Written(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    id: str
    expires: float
    subject: str
    epoch: int
    amr: tuple[str, ...]
    at: float | None
    mode: str
    remember: bool
    label: str
    renews: str
    access: str
    ends: float | None


class Attempts:
    """Begins and finishes the attempts of one `Auth`.

    ``now``: seconds since the Unix epoch by the store's clock. ``reuse_window``: seconds in which an answer that is
    sent twice, by a double click, gets what the first one got (mode ``session``)."""

    def __init__(
        self,
        steps: Steps,
        *,
        issuer: Issuer,
        sessions: SessionStore,
        opaque: OpaqueTokens,
        counters: Counters,
        throttle: Throttle,
        events: Events,
        now: Callable[[], float],
        reuse_window: float,
    ) -> None:
        self._steps = steps
        self._issuer = issuer
        self._sessions = sessions
        self._opaque = opaque
        self._counters = counters
        self._throttle = throttle
        self._events = events
        self._now = now
        self._reuse_window = reuse_window

    async def check(
        self, subject: str, *, epoch: int | None, amr: tuple[str, ...], at: float | None, mode: Mode,
        remember: bool = False, label: str = "", renews: str = "", access: Access = PLAIN, expires: float | None = None,
    ) -> None:  # fmt: skip
        """Before a login is completed: raise `StepRequired`, with an attempt to go on with, where more is required.

        ``epoch`` was read before the proof; without it, it is read now. ``at``: when that was proved, where it is not
        now: the session is no fresher then. ``renews``: the session in whose place another one is made, for proving
        again who one is. ``access`` and ``expires``: as in `Issuer.login`, and as they are they stay. Raises
        `StoreUnavailable`."""
        methods = required(amr, await self._steps.set_up(subject)) if len(self._steps) else ()
        if not methods:
            return
        if epoch is None:
            epoch, _ = await self._sessions.standing_of(subject)
        ends = self._now() + LIFETIME
        name, narrowed = secrets.token_urlsafe(16), pack_access(access)
        written = _Written(
            name, ends, subject, epoch, amr, at, mode.value, remember, label, renews, narrowed, expires
        )  # fmt: skip
        self._events.emit(acts.STEP_REQUIRED, subject=subject, methods=" ".join(methods))
        raise StepRequired(methods, self._opaque.attempt(msgspec.json.encode(written)), expires_in=int(LIFETIME))

    async def methods(self, token: str) -> tuple[str, ...]:
        """What an attempt can be gone on with. Raises `AttemptOver` and `StoreUnavailable`."""
        written = self._read(token)
        await self._check_stands(written)
        return required(written.amr, await self._steps.set_up(written.subject))

    def mode_of(self, token: str) -> Mode:
        """The mode of the login. Raises `AttemptOver`."""
        return Mode(self._read(token).mode)

    def renewed_by(self, token: str) -> str:
        """The session that it renews; empty for a login. Raises `AttemptOver`."""
        return self._read(token).renews

    async def finish(
        self, token: str, *, method: str, answer: Answer, device: Device, data: Mapping[str, Any] | None, ip: str
    ) -> Credentials:
        """Check the answer and complete the login.

        Raises `InvalidStep` for a wrong answer, after which the attempt goes on; `AttemptOver`; `Throttled`;
        `StoreUnavailable`; and as `Issuer.login` and `Issuer.reauthenticate`."""
        written, now = self._read(token), self._now()
        subject = written.subject
        await self._check_stands(written)
        tried = await admitted(self._throttle, self._events, f"step:{subject}", ip, now=now)
        step = self._steps.get(method)
        if step is None or method not in required(written.amr, await self._steps.set_up(subject)):
            self._refuse(subject, ip, "no step that is required")
        again = await self._count(f"answer:{written.id}:{method}:{answer.code}", now) > 1
        try:
            await step.check(subject, answer, now=now)
        except InvalidStep as error:
            # Perhaps the same answer came a moment ago, and counts once.
            made = await self._made(written, waits=True) if again else None
            if made is None:
                self._refuse(subject, ip, error.reason)
            await self._throttle.give_back(tried, now=self._now())
            return made
        await self._throttle.success(tried, now=self._now())
        if await self._count(f"attempt:{written.id}", now) != 1:
            made = await self._made(written, waits=again)
            if made is None:
                raise AttemptOver("it was finished before")
            return made
        self._events.emit(acts.STEP_PASSED, subject=subject, ip=ip, method=method)
        return await self._complete(written, grown(written.amr, step.amr), device, data)

    async def _complete(
        self, written: _Written, amr: tuple[str, ...], device: Device, data: Mapping[str, Any] | None
    ) -> Credentials:
        try:
            if written.renews:
                return await self._issuer.reauthenticate(
                    written.renews, epoch=written.epoch, amr=amr, auth_time=written.at
                )
            return await self._issuer.login(
                written.subject, mode=Mode(written.mode), epoch=written.epoch, remember=written.remember,
                device=replace(device, label=device.label or written.label),
                amr=amr, auth_time=written.at, data=data,
                session_id=self._session_id(written) if _is_shared(written) else None,
                access=unpack_access(Kind.LOGIN, written.access), expires=written.ends,
            )  # fmt: skip
        except Conflict as error:
            raise AttemptOver("sessions were ended since it began") from error
        except InvalidCredential as error:
            raise AttemptOver("the session to be renewed has ended") from error

    async def _check_stands(self, written: _Written) -> None:
        epoch, _ = await self._sessions.standing_of(written.subject)
        if epoch != written.epoch:
            raise AttemptOver("sessions were ended since it began")

    async def _made(self, written: _Written, *, waits: bool) -> Credentials | None:
        """What whoever was first has made, or is about to make."""
        if not _is_shared(written):
            return None
        for _ in range(_PAUSES if waits else 1):
            now = self._now()
            [(_, ends)] = await self._counters.failures([_key(f"attempt:{written.id}")], now=now)
            if ends and now - (ends - 2 * LIFETIME) > self._reuse_window:
                return None
            found = await self._issuer.again(self._session_id(written), written.subject) if ends else None
            if found is not None:
                return found
            await asyncio.sleep(_PAUSE)
        return None

    def _session_id(self, written: _Written) -> str:
        return self._opaque.session_of_form(f"attempt:{written.id}", written.subject)

    async def _count(self, what: str, now: float) -> int:
        return await self._counters.count_failure(_key(what), now=now, window=2 * LIFETIME)

    def _read(self, token: str) -> _Written:
        try:
            written = msgspec.json.decode(self._opaque.read_attempt(token), type=_Written)
        except (InvalidCredential, msgspec.DecodeError) as error:
            raise AttemptOver("none of ours") from error
        if not self._now() < written.expires <= self._now() + 2 * LIFETIME:
            raise AttemptOver("its time is over")
        return written

    def _refuse(self, subject: str, ip: str, reason: str) -> NoReturn:
        self._events.emit(acts.LOGIN_REFUSED, subject=subject, ip=ip, reason=reason)
        raise InvalidStep(reason)


def _is_shared(written: _Written) -> bool:
    """Whether it makes a session that can be found again, by whoever has sent the same answer twice."""
    return written.mode == Mode.SESSION and not written.renews


def _key(what: str) -> str:
    return f"step:{hashlib.sha256(what.encode('utf-8', 'surrogatepass')).hexdigest()}"
