"""The commands that end sessions. Each is done when the store has said so, and raises when it has not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from . import acts, arguments
from .clock import Clock
from .errors import Rejected
from .events import Events
from .follower import Follower
from .model import ALL_KINDS, Event, EventKind, Kind
from .policy import Policy
from .stores.base import SessionStore


class Revocation:
    """Ends sessions, everywhere.

    When a call has returned, this process refuses already, every other live process does within milliseconds, and none
    accepts more than ``policy.max_staleness`` later. With ``wait=True`` a call returns only when that bound has passed.
    Every method raises `StoreUnavailable` when the store did not confirm: then nothing may be reported as ended.
    Ids are text, and anything else is a `TypeError` (pass ``str(user.id)``); a subject that nobody has is `Rejected`.
    """

    def __init__(
        self, sessions: SessionStore, follower: Follower, clock: Clock, policy: Policy, happened: Events
    ) -> None:
        self._sessions = sessions
        self._follower = follower
        self._clock = clock
        self._emit = happened.emit
        self._staleness = policy.max_staleness

    async def revoke(self, session_id: str, *, wait: bool = False) -> bool:
        """End one session, whatever the time of day says. True when it was there. False when it was not, or had been
        cut off before; what may still be about of it is refused from now on all the same. Again is harmless."""
        arguments.texts(session_id=session_id)
        arguments.flags(wait=wait)
        now = self._clock.now()
        ended = await self._sessions.revoke(session_id, now=now)
        self._follower.apply(Event(kind=EventKind.SESSION_REVOKED, at=now, session_id=session_id))
        if ended is not None:
            self._emit(acts.SESSION_ENDED, subject=ended.subject, session=session_id)
        await self._bound(wait)
        return ended is not None

    async def revoke_subject(
        self,
        subject: str,
        *,
        kinds: Iterable[Kind | str] = ALL_KINDS,
        excepted: str | None = None,
        wait: bool = False,
    ) -> int:
        """End all sessions of a subject that are of these kinds, but for one if named. One step, however many there
        are. A login under way whose password was checked before loses. Returns the new epoch.

        All kinds when ``kinds`` is omitted: for an account that is taken away, and for another password. Logging out
        everywhere passes `LOGOUT_KINDS`: logins, guests and administrators who act as the subject. Keys and third
        parties' access then go on.

        Raises `NotFound` when the excepted session is not a live one of this subject: then nothing was ended. An
        excepted session stays, of whatever kind it is. Raises `Rejected` for no kind at all."""
        arguments.subject(subject)
        arguments.texts_or_none(excepted=excepted)
        arguments.flags(wait=wait)
        ended = frozenset(arguments.members(Kind, kinds, "kinds"))
        if not ended:
            raise Rejected("kinds must name at least one kind of session to end")
        now = self._clock.now()
        epoch = await self._sessions.revoke_subject(subject, now=now, excepted=excepted, kinds=ended)
        spared = ALL_KINDS - ended
        event = Event(
            kind=EventKind.SUBJECT_CUT_OFF, at=now, subject=subject, session_id=excepted or "", number=epoch,
            spared=spared,
        )  # fmt: skip
        self._follower.apply(event)
        self._emit(acts.SUBJECT_CUT_OFF, subject=subject, excepted=excepted or "", spared=" ".join(sorted(spared)))
        await self._bound(wait)
        return epoch

    async def revoke_token(self, session_id: str, token_id: str, *, wait: bool = False) -> None:
        """End one access token by its ``jti``; its session lives on (RFC 7009), unless very many of its tokens were
        ended one by one: `MAX_TOKENS`."""
        arguments.texts(session_id=session_id, token_id=token_id)
        arguments.flags(wait=wait)
        now = self._clock.now()
        whole = await self._sessions.revoke_token(session_id, token_id, now=now)
        event = Event(kind=EventKind.TOKEN_REVOKED, at=now, session_id=session_id, token_id=token_id)
        self._follower.apply(event)
        self._emit(acts.TOKEN_REVOKED, session=session_id, token_id=token_id)
        if whole:
            self._follower.apply(Event(kind=EventKind.SESSION_REVOKED, at=now, session_id=session_id))
            self._emit(acts.SESSION_ENDED, session=session_id, reason="too many of its tokens were revoked")
        await self._bound(wait)

    async def subject_changed(self, subject: str, *, wait: bool = False) -> int:
        """Make changed roles, status or claims count: call it *after* they were written. Access tokens of before are
        refused as stale, and sessions see the new facts at their next request. Returns the new version."""
        arguments.subject(subject)
        arguments.flags(wait=wait)
        now = self._clock.now()
        version = await self._sessions.step_version(subject, now=now)
        self._follower.apply(Event(kind=EventKind.SUBJECT_CHANGED, at=now, subject=subject, number=version))
        self._emit(acts.SUBJECT_CHANGED, subject=subject)
        await self._bound(wait)
        return version

    async def _bound(self, wait: bool) -> None:
        """The bound runs from the moment the store had committed, which is not after now."""
        if not wait:
            return
        until = self._clock.monotonic() + self._staleness
        while (left := until - self._clock.monotonic()) > 0:
            await asyncio.sleep(left)
