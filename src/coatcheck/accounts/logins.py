"""Logging in by name and password, whoever keeps the users: our own accounts or the application.

The order of reads and writes carries the guarantees. Whoever checks a password has read the subject's epoch *before*
the password's hash; whoever changes one has written the hash *before* stepping the epoch. So a login that races such a
change loses when its session is created.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from .. import acts
from ..arguments import answered, answered_or_none, kinds, texts, texts_or_none
from ..errors import Conflict, InvalidLogin, NotFound, Throttled
from ..events import Events
from ..issuer import Credentials
from ..model import SubjectFacts
from ..stores.base import SessionStore
from ..subjects import ApplicationSubjects, Login, UserSource, facts_from
from .changes import Changes
from .passwords import PasswordHasher, PasswordPolicy, is_too_long
from .throttle import Attempt, Throttle

MAX_NAME: Final = 254
"""Characters of a login name that tell two of them apart when tries are counted."""
_OVERWRITES: Final = 8
"""Times that setting a password is begun again because the hash was renewed meanwhile."""


ReadBoth = Callable[[str], Awaitable[tuple[Login | None, SubjectFacts | None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Who somebody is, and how that was shown."""

    subject: str
    epoch: int
    """The subject's epoch, read before what the proof rests on was: give it to the new session."""
    amr: tuple[str, ...] = ("pwd",)
    """How (RFC 8176): a password, where nothing else is said."""
    at: float = 0.0
    """When, in seconds since the Unix epoch by the store's clock."""
    email: str = ""
    """Their address, where it is known."""


class Logins:
    """Logins by name and password over a `UserSource`.

    ``ip`` is, in every method, the client's address for the limits; without one only the account is limited. Every
    method raises `StoreUnavailable` when a store or the source cannot tell.

    ``now`` gives seconds since the Unix epoch by the store's clock. ``key_of`` gives the one form in which names are
    compared, or an empty text for what cannot be a name: it may be a password in the wrong field, and is not logged.
    Without it, no name is logged. ``read_both`` gives what `login_of_subject` and `facts` of these users say, from one
    read.
    """

    def __init__(
        self,
        users: UserSource,
        sessions: SessionStore,
        changes: Changes,
        *,
        passwords: PasswordHasher,
        policy: PasswordPolicy,
        throttle: Throttle,
        now: Callable[[], float],
        events: Events,
        key_of: Callable[[str], str] | None = None,
        read_both: ReadBoth | None = None,
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._changes = changes
        self._passwords = passwords
        self._policy = policy
        self._throttle = throttle
        self._now = now
        self._events = events
        self._key_of = key_of
        self._read_both = read_both
        self._nobody = secrets.token_hex(16)

    async def authenticate(self, name: str, password: str, *, ip: str = "") -> Proof:
        """Log in by name and password.

        Raises `InvalidLogin`, with the same work done for an unknown name, a wrong password and a disabled user, and
        `Throttled` before any password is looked at. A password that is too long to be one is refused before anything
        is looked up or counted: it says nothing of anybody, and costs nobody a try."""
        kinds(str, name=name, password=password, ip=ip)
        key = self._key_of(name) if self._key_of else ""
        if is_too_long(password):
            refuse(self._events, "the password is too long to be one", email=key, ip=ip)
        known = answered_or_none(Login, await self._users.login_of(name), "login_of")
        # Under the subject, so that one who has two names is not tried twice as often. And under the name, in the form
        # that takes most spellings for one: an application may tell apart more, and which of them somebody has would
        # show in which of them may still be tried. Of our own accounts there is one form.
        named = f"name:{key or folded(name)}"
        alias = "" if self._key_of else named if known else f"nobody:{named}"
        counted = f"subject:{known.subject}" if known else named
        attempt = await admitted(self._throttle, self._events, counted, ip, now=self._now(), shown=key, alias=alias)
        proof = await self._proved(known.subject if known else self._nobody, password, attempt, shown=key, ip=ip)
        return _public(proof)

    async def check_password(self, subject: str, password: str, *, ip: str = "") -> Proof:
        """Prove again who one is. Raises as `authenticate` does and counts as a login."""
        return _public(await self._proved_again(subject, password, ip))

    async def change_password(
        self, subject: str, current: str, new: str, *, keep: str | None = None, ip: str = ""
    ) -> Credentials | None:
        """Replace the password and end all sessions. ``keep``: the id of the session in which it is changed. Another
        takes its place, as `Issuer.reauthenticate` does it, so that a copy of its credentials is worth nothing any
        more: hand the returned credentials to the client. None without ``keep``, and where that session was ended
        meanwhile or is none of the subject's.

        Raises `InvalidLogin` and `Throttled` as `authenticate` does, `WeakPassword`, and `Conflict` when someone else
        was faster. After `StoreUnavailable` the same call again completes what was begun: where ``new`` is the
        password already, ``current`` is not asked for (a try that fails so counts twice)."""
        kinds(str, new=new)
        texts_or_none(keep=keep)
        try:
            proof = await self._proved_again(subject, current, ip)
        except InvalidLogin:
            # Perhaps an earlier call wrote the new hash and then could not end the sessions.
            await self._proved_again(subject, new, ip)
            return await self._changes.run(self._changes.cut_off(subject, keep))
        self._policy.check(new, email=proof.login.email)
        new_hash = await self._passwords.hash(new)
        made = await self._changes.run(self._replace_hash(proof.login, new_hash, keep))
        self._events.emit(acts.PASSWORD_CHANGED, subject=subject, ip=ip)
        return made

    async def set_password(self, subject: str, new: str) -> None:
        """Set the password, whatever it was, and end all sessions. Raises `NotFound`, `WeakPassword`, `Throttled`."""
        texts(subject=subject)
        kinds(str, new=new)
        self._policy.check(new, email=(await self._login(subject)).email)
        new_hash = await self._passwords.hash(new)
        await self._changes.run(self._overwrite_hash(subject, new_hash))
        self._events.emit(acts.PASSWORD_SET, subject=subject)

    async def email_of(self, subject: str) -> str | None:
        """Their address, None where it is not known."""
        texts(subject=subject)
        login = await self._login_of(subject)
        return login.email or None if login else None

    async def name_of(self, subject: str) -> str | None:
        """What to call them to their face: their address or the name that they log in with; None where neither is
        known."""
        texts(subject=subject)
        login = await self._login_of(subject)
        return login.email or login.name or None if login else None

    async def close(self) -> None:
        """Finish the changes under way and end the hashing threads. Idempotent."""
        await self._changes.finish()
        await self._passwords.close()

    async def _proved_again(self, subject: str, password: str, ip: str) -> _Proof:
        texts(subject=subject)
        kinds(str, password=password, ip=ip)
        if is_too_long(password):
            refuse(self._events, "the password is too long to be one", subject=subject, ip=ip)
        attempt = await admitted(self._throttle, self._events, f"subject:{subject}", ip, now=self._now())
        return await self._proved(subject, password, attempt, ip=ip)

    async def _proved(self, subject: str, password: str, attempt: Attempt, *, ip: str, shown: str = "") -> _Proof:
        """The user, with their hash renewed if need be. Raises `InvalidLogin`."""
        epoch, _ = await self._sessions.standing_of(subject)
        login, facts = await self._read(subject)
        try:
            if login is None or facts is None:  # a password that is right must not show either, by being cheaper
                verified = await self._passwords.verify_unknown(password)
            else:
                verified = await self._passwords.verify(login.password_hash, password)
        except Throttled:
            await self._throttle.give_back(attempt, now=self._now())
            raise
        if login is None:
            refuse(self._events, "unknown account", email=shown, ip=ip)
        if facts is None:
            refuse(self._events, "disabled account", subject=subject, email=shown, ip=ip)
        if not verified:
            refuse(self._events, verified.fault or "wrong password", subject=subject, email=shown, ip=ip)
        await self._throttle.success(attempt, now=self._now())
        self._events.emit(acts.LOGIN_PROVED, subject=subject, email=shown, ip=ip)
        login = await self._renewed(login, password) if verified.needs_rehash else login
        return _Proof(login, epoch, self._now())

    async def _read(self, subject: str) -> tuple[Login | None, SubjectFacts | None]:
        if self._read_both is not None:
            return await self._read_both(subject)
        return await self._login_of(subject), await facts_from(self._users, subject)

    async def _renewed(self, login: Login, password: str) -> Login:
        """Store the password under the present parameters, unless it was changed meanwhile or there is no room."""
        try:
            new_hash = await self._passwords.hash(password)
        except Throttled:
            return login
        if not await self._swap(login.subject, login.password_hash, new_hash):
            return login
        return replace(login, password_hash=new_hash)

    async def _login_of(self, subject: str) -> Login | None:
        return answered_or_none(Login, await self._users.login_of_subject(subject), "login_of_subject")

    async def _swap(self, subject: str, old_hash: str, new_hash: str) -> bool:
        return answered(bool, await self._users.replace_hash(subject, old_hash, new_hash), "replace_hash")

    async def _login(self, subject: str) -> Login:
        login = await self._login_of(subject)
        if login is None:
            raise NotFound("no such account")
        return login

    async def _replace_hash(self, login: Login, new_hash: str, keep: str | None) -> Credentials | None:
        if not await self._swap(login.subject, login.password_hash, new_hash):
            raise Conflict("the password was changed in the meantime")
        return await self._changes.cut_off(login.subject, keep)

    async def _overwrite_hash(self, subject: str, new_hash: str) -> None:
        for _ in range(_OVERWRITES):
            old_hash = (await self._login(subject)).password_hash
            if await self._swap(subject, old_hash, new_hash):
                await self._changes.cut_off(subject, None)
                return
        raise Conflict("the password was changed in the meantime")


class CheckedLogins:
    """Logins that the application checks itself: `ApplicationSubjects` with ``authenticate``.

    Tries are counted under the name as it is typed, case and compatibility characters aside.
    """

    def __init__(
        self,
        subjects: ApplicationSubjects,
        sessions: SessionStore,
        *,
        throttle: Throttle,
        now: Callable[[], float],
        events: Events,
    ) -> None:
        self._subjects = subjects
        self._sessions = sessions
        self._throttle = throttle
        self._now = now
        self._events = events

    async def authenticate(self, name: str, password: str, *, ip: str = "") -> Proof:
        """See `Logins.authenticate`; how alike unknown names and wrong passwords are is up to the application."""
        attempt = await admitted(self._throttle, self._events, f"name:{folded(name)}", ip, now=self._now())
        subject = await self._subjects.subject_of(name, password)
        if subject is None:
            refuse(self._events, "the application refuses", ip=ip)
        # Only now is it known whose epoch to read, and it must be read before the password is checked: so once more.
        epoch, _ = await self._sessions.standing_of(subject)
        if await facts_from(self._subjects, subject) is None:
            refuse(self._events, "disabled account", subject=subject, ip=ip)
        if await self._subjects.subject_of(name, password) != subject:
            refuse(self._events, "the application refuses by now", subject=subject, ip=ip)
        await self._throttle.success(attempt, now=self._now())
        self._events.emit(acts.LOGIN_PROVED, subject=subject, ip=ip)
        return Proof(subject=subject, epoch=epoch, at=self._now())


@dataclass(frozen=True, slots=True)
class _Proof:
    login: Login
    epoch: int
    at: float


def _public(proof: _Proof) -> Proof:
    return Proof(subject=proof.login.subject, epoch=proof.epoch, at=proof.at, email=proof.login.email)


def folded(name: str) -> str:
    """The form in which tries with names that nobody has are counted. That it takes some names for one does no harm."""
    return unicodedata.normalize("NFKC", name[:MAX_NAME]).casefold().strip()


def refuse(events: Events, reason: str, **details: str) -> NoReturn:
    """Tell the reason and raise `InvalidLogin`."""
    events.emit(acts.LOGIN_REFUSED, reason=reason, **details)
    raise InvalidLogin(reason)


async def admitted(
    throttle: Throttle, events: Events, counted: str, ip: str, *, now: float, shown: str = "", alias: str = ""
) -> Attempt:
    """The try, counted. Raises `Throttled`, and tells it."""
    try:
        return await throttle.check(counted, ip, now=now, alias=alias)
    except Throttled:
        events.emit(acts.LOGIN_REFUSED, reason="throttled", email=shown, ip=ip)
        raise
