"""Coatcheck's own accounts: registering, proving who one is, and what an operator may change.

Order carries the guarantees. Whoever checks a password has read the subject's epoch *before* the account's row; whoever
changes a password, the status or the roles has written the row *before* stepping the epoch or version. So a login that
races such a change loses when its session is created.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from ..errors import Conflict, InvalidEmail, InvalidLogin, NotFound, Rejected, StoreUnavailable, Throttled
from ..model import Account, SubjectFacts
from ..stores.base import AccountPage, AccountStore, SessionStore
from .emails import MAX_EMAIL, canonical
from .passwords import PasswordHasher, PasswordPolicy
from .throttle import Attempt, Throttle

log = logging.getLogger("coatcheck.accounts")

MAX_ROLES: Final = 64
"""Roles an account may have: they travel in every access token."""
_ROLE: Final = re.compile(r"[a-z0-9_.:-]{1,64}")
_OVERWRITES: Final = 8
"""Times that setting a password is begun again because the hash was renewed meanwhile."""


class Revocation(Protocol):
    """What accounts need of `coatcheck.revocation.Revocation`."""

    async def revoke_subject(self, subject: str, *, excepted: str | None = None) -> int:
        """End the subject's sessions, but for one. `NotFound` when that one is not live."""

    async def subject_changed(self, subject: str) -> int:
        """Make changed roles or status count."""


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Someone has proved to be the owner of an account."""

    account: Account
    epoch: int
    """The subject's epoch, read before the password's hash was: give it to the new session."""


class Accounts:
    """Accounts with an e-mail address and a password.

    ``now`` gives seconds since the Unix epoch by the store's clock. ``ip`` is, in every method, the client's address
    for the limits; without one only the account is limited. Every method raises `StoreUnavailable` when a store does
    not answer. One that writes and then ends sessions has done both when it returns; when it raises, repeat it.
    """

    def __init__(
        self,
        accounts: AccountStore,
        sessions: SessionStore,
        revocation: Revocation,
        *,
        passwords: PasswordHasher,
        policy: PasswordPolicy,
        throttle: Throttle,
        now: Callable[[], float],
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._revocation = revocation
        self._passwords = passwords
        self._policy = policy
        self._throttle = throttle
        self._now = now
        self._nobody = _new_id()
        self._unfinished: set[asyncio.Task[None]] = set()

    async def register(self, email: str, password: str, *, roles: Iterable[str] = (), ip: str = "") -> Account:
        """Make an account.

        Raises `InvalidEmail`, `WeakPassword`, `Rejected` for a role that is none, `Throttled`, and `EmailTaken`, which
        takes as long to find out as making one."""
        address = canonical(email)
        names = _role_names(roles)
        self._policy.check(password, email=address.written)
        await self._throttle.registration(ip, now=self._now())
        account = Account(
            id=_new_id(),
            email=address.written,
            email_key=address.key,
            password_hash=await self._passwords.hash(password),
            roles=names,
            created=self._now(),
        )
        await self._accounts.insert(account)
        _record(logging.INFO, "registered", account=account.id, email=account.email, ip=ip)
        return account

    async def authenticate(self, email: str, password: str, *, ip: str = "") -> Authenticated:
        """Log in by address and password.

        Raises `InvalidLogin`, with the same work done for an unknown address, a wrong password and a disabled account,
        and `Throttled` before any of that work."""
        try:
            key = canonical(email).key
        except InvalidEmail:
            key = ""  # nobody's; and not logged as it is, for it may be a password in the wrong field
        attempt = await self._admitted(key or email[:MAX_EMAIL], key, ip)
        known = await self._accounts.by_email(key)
        subject = known.id if known else self._nobody
        epoch, _ = await self._sessions.standing_of(subject)
        account = await self._accounts.by_id(subject)
        return Authenticated(await self._proved(account, password, attempt, email=key, ip=ip), epoch)

    async def check_password(self, account_id: str, password: str, *, ip: str = "") -> Authenticated:
        """Prove again who one is. Raises as `authenticate` does and counts as a login."""
        epoch, _ = await self._sessions.standing_of(account_id)
        account = await self._accounts.by_id(account_id)
        email = account.email_key if account else ""
        attempt = await self._admitted(email or account_id, email, ip)
        return Authenticated(await self._proved(account, password, attempt, email=email, ip=ip), epoch)

    async def change_password(
        self, account_id: str, current: str, new: str, *, keep: str | None = None, ip: str = ""
    ) -> None:
        """Replace the password and end all sessions but ``keep``; those too, if that one has ended meanwhile.

        Raises `InvalidLogin` and `Throttled` as `authenticate` does, `WeakPassword`, and `Conflict` when someone else
        was faster. After `StoreUnavailable` the same call again completes what was begun: where ``new`` is the
        password already, ``current`` is not asked for (a try that fails so counts twice)."""
        try:
            proved = await self.check_password(account_id, current, ip=ip)
        except InvalidLogin:
            # Perhaps an earlier call wrote the new hash and then could not end the sessions.
            await self.check_password(account_id, new, ip=ip)
            await self._unbroken(self._cut_off(account_id, keep))
            return
        self._policy.check(new, email=proved.account.email)
        password_hash = await self._passwords.hash(new)
        await self._unbroken(self._replace_hash(proved.account, password_hash, keep))
        _record(logging.INFO, "password changed", account=account_id, ip=ip)

    async def set_password(self, account_id: str, new: str) -> None:
        """Set the password, whatever it was, and end all sessions. Raises `NotFound`, `WeakPassword`, `Throttled`."""
        account = await self.get(account_id)
        self._policy.check(new, email=account.email)
        password_hash = await self._passwords.hash(new)
        await self._unbroken(self._overwrite_hash(account_id, password_hash))
        _record(logging.INFO, "password set", account=account_id)

    async def set_roles(self, account_id: str, roles: Iterable[str]) -> None:
        """Replace the roles; they count at once. Raises `NotFound`, and `Rejected` for a role that is none."""
        names = _role_names(roles)

        async def change() -> None:
            if not await self._accounts.set_roles(account_id, names):
                raise NotFound("no such account")
            await self._revocation.subject_changed(account_id)

        await self._unbroken(change())
        _record(logging.INFO, "roles set", account=account_id, roles=" ".join(sorted(names)))

    async def disable(self, account_id: str) -> None:
        """Refuse every login from now on and end all sessions. Raises `NotFound`. Idempotent."""

        async def change() -> None:
            if not await self._accounts.set_disabled(account_id, True):
                raise NotFound("no such account")
            await self._revocation.revoke_subject(account_id)

        await self._unbroken(change())
        _record(logging.INFO, "disabled", account=account_id)

    async def enable(self, account_id: str) -> None:
        """Allow logins again; sessions of before stay ended. Raises `NotFound`. Idempotent."""

        async def change() -> None:
            if not await self._accounts.set_disabled(account_id, False):
                raise NotFound("no such account")
            await self._revocation.subject_changed(account_id)

        await self._unbroken(change())
        _record(logging.INFO, "enabled", account=account_id)

    async def get(self, account_id: str) -> Account:
        """The account. Raises `NotFound`."""
        account = await self._accounts.by_id(account_id)
        if account is None:
            raise NotFound("no such account")
        return account

    async def find_by_email(self, email: str) -> Account | None:
        """The account with this address in any spelling, or None."""
        try:
            return await self._accounts.by_email(canonical(email).key)
        except InvalidEmail:
            return None

    async def page(self, *, search: str = "", limit: int = 50, cursor: str | None = None) -> AccountPage:
        """Accounts, newest first; see `AccountStore.page`."""
        return await self._accounts.page(search=search, limit=limit, cursor=cursor)

    async def facts(self, subject: str) -> SubjectFacts | None:
        """Roles and claims, or None for an account that is unknown or disabled."""
        account = await self._accounts.by_id(subject)
        if account is None or account.disabled:
            return None
        return SubjectFacts(roles=account.roles, claims=account.claims)

    async def close(self) -> None:
        """Finish the changes under way and end the hashing threads. The stores stay open. Idempotent."""
        while self._unfinished:
            await asyncio.wait(self._unfinished)
        await self._passwords.close()

    async def _admitted(self, account: str, email: str, ip: str) -> Attempt:
        try:
            return await self._throttle.check(account, ip, now=self._now())
        except Throttled:
            _record(logging.WARNING, "login refused", reason="throttled", email=email, ip=ip)
            raise

    async def _proved(
        self, account: Account | None, password: str, attempt: Attempt, *, email: str, ip: str
    ) -> Account:
        """The account, with its hash renewed if need be. Raises `InvalidLogin`."""
        try:
            if account is None:
                verified = await self._passwords.verify_unknown(password)
            else:
                verified = await self._passwords.verify(account.password_hash, password)
        except Throttled:
            await self._throttle.give_back(attempt, now=self._now())
            raise
        if account is None:
            reason = "unknown account"
        elif not verified:
            reason = "wrong password"
        elif account.disabled:
            reason = "disabled account"
        else:
            await self._throttle.success(attempt, now=self._now())
            _record(logging.INFO, "login ok", account=account.id, email=account.email, ip=ip)
            return await self._renewed(account, password) if verified.needs_rehash else account
        _record(
            logging.WARNING, "login refused", reason=reason, account=account.id if account else "", email=email, ip=ip
        )
        raise InvalidLogin(reason)

    async def _renewed(self, account: Account, password: str) -> Account:
        """Store the password under the present parameters, unless it was changed meanwhile or there is no room."""
        try:
            password_hash = await self._passwords.hash(password)
        except Throttled:
            return account
        if not await self._accounts.set_password_hash(account.id, password_hash, expected=account.password_hash):
            return account
        return replace(account, password_hash=password_hash)

    async def _replace_hash(self, account: Account, password_hash: str, keep: str | None) -> None:
        if not await self._accounts.set_password_hash(account.id, password_hash, expected=account.password_hash):
            raise Conflict("the password was changed in the meantime")
        await self._cut_off(account.id, keep)

    async def _overwrite_hash(self, account_id: str, password_hash: str) -> None:
        for _ in range(_OVERWRITES):
            old = (await self.get(account_id)).password_hash
            if await self._accounts.set_password_hash(account_id, password_hash, expected=old):
                return await self._cut_off(account_id, None)
        raise Conflict("the password was changed in the meantime")

    async def _cut_off(self, account_id: str, keep: str | None) -> None:
        try:
            await self._revocation.revoke_subject(account_id, excepted=keep)
        except NotFound:
            # The session to keep has ended meanwhile; that must not let the others live.
            await self._revocation.revoke_subject(account_id)

    async def _unbroken(self, change: Coroutine[Any, Any, None]) -> None:
        """Await the change; a caller who goes away does not stop it between the write and what follows from it."""
        task = asyncio.create_task(change)
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._unfinished.discard(task)
        # The caller may have gone away and not hear of it.
        if not task.cancelled() and isinstance(task.exception(), StoreUnavailable):
            log.warning("a change was not completed, because a store did not answer; it must be repeated")


def _new_id() -> str:
    """128 random bits. In hexadecimal, so that an id never begins with a dash on a command line."""
    return secrets.token_hex(16)


def _role_names(roles: Iterable[str]) -> frozenset[str]:
    if isinstance(roles, str):
        raise Rejected("roles must be a list of names, not one text")
    names = frozenset(roles)
    if len(names) > MAX_ROLES:
        raise Rejected(f"an account may have {MAX_ROLES} roles at most")
    if not all(_ROLE.fullmatch(name) for name in names):
        raise Rejected("a role is 1 to 64 of the characters a-z 0-9 _ . : -")
    return names


def _record(level: int, event: str, **details: str) -> None:
    """One line and one structured record of what happened (ASVS 16.3.1). What a client wrote cannot begin a line or
    colour a terminal: all that is not printable is escaped (ASVS 16.4.1)."""
    shown = {name: _printable(value) for name, value in details.items() if value}
    text = " ".join(f"{name}={value!r}" for name, value in shown.items())
    log.log(level, "%s: %s", event, text, extra={"event": event, **shown})


def _printable(text: str) -> str:
    kept = text[: MAX_EMAIL * 2]
    return "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in kept)
