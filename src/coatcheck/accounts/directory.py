"""Coatcheck's own accounts: registering, and what an operator may change. Logging in is in `coatcheck.accounts.logins`.

Order carries the guarantees. Whoever checks a password has read the subject's epoch *before* the account's row; whoever
changes a password, the status or the roles has written the row *before* stepping the epoch or version. So a login that
races such a change loses when its session is created.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .. import acts, arguments
from ..errors import EmailTaken, InvalidEmail, NotFound, Rejected, StoreUnavailable, Throttled
from ..events import Events
from ..issuer import Credentials
from ..model import Account, SubjectFacts
from ..stores.base import AccountPage, AccountStore, KnowsHashes, SessionStore
from ..subjects import Login
from . import foreign_hashes
from .changes import Changes, Renew, Revocation
from .emails import canonical
from .logins import Logins, Proof
from .passwords import PasswordHasher, PasswordPolicy
from .throttle import Throttle

log = logging.getLogger("coatcheck.accounts")

MAX_ROLES: Final = 64
"""Roles an account may have: they travel in every access token."""
_LOOK: Final = 5.0
"""Seconds that a start waits to learn which password hashes there are: some millions of accounts."""
_ROLE: Final = re.compile(r"[a-z0-9_.:-]{1,64}")
_ID: Final = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatedAccount(Proof):
    """Someone has proved to be the owner of an account."""

    account: Account


class Accounts:
    """Accounts with an e-mail address and a password.

    ``now`` gives seconds since the Unix epoch by the store's clock. ``ip`` is, in every method, the client's address
    for the limits; without one only the account is limited. Every method raises `StoreUnavailable` when a store does
    not answer. One that writes and then ends sessions has done both when it returns; when it raises, repeat it.
    ``renew`` makes a new session in the place of the one in which a password is changed: `Issuer.reauthenticate`.
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
        events: Events,
        renew: Renew | None = None,
    ) -> None:
        self._accounts = accounts
        self._changes = Changes(revocation, renew)
        self._revocation = revocation
        self._passwords = passwords
        self._policy = policy
        self._throttle = throttle
        self._now = now
        self._events = events
        self.logins: Logins = Logins(
            self, sessions, self._changes, passwords=passwords, policy=policy, throttle=throttle, now=now,
            events=events, key_of=_key, read_both=self._login_and_facts,
        )  # fmt: skip
        """Logging in and changing passwords."""

    async def register(self, email: str, password: str, *, roles: Iterable[str] = (), ip: str = "") -> Account:
        """Make an account.

        Raises `InvalidEmail`, `WeakPassword`, `Rejected` for a role that is none, `Throttled`, and `EmailTaken`, which
        takes as long to find out as making one."""
        arguments.kinds(str, password=password, ip=ip)
        address = canonical(email)
        names = role_names(roles)
        self._policy.check(password, email=address.written)
        try:
            await self._throttle.registration(ip, now=self._now())
        except Throttled:
            self._events.emit(acts.ACCOUNT_REFUSED, reason="throttled", ip=ip)
            raise
        account = Account(
            id=_new_id(),
            email=address.written,
            email_key=address.key,
            password_hash=await self._passwords.hash(password),
            roles=names,
            created=self._now(),
        )
        try:
            await self._accounts.insert(account)
        except EmailTaken:
            self._events.emit(acts.ACCOUNT_REFUSED, reason="the address is taken", email=account.email, ip=ip)
            raise
        self._events.emit(acts.ACCOUNT_REGISTERED, subject=account.id, email=account.email, ip=ip)
        return account

    async def adopt(
        self,
        email: str,
        password_hash: str,
        *,
        roles: Iterable[str] = (),
        claims: Mapping[str, Any] | None = None,
        disabled: bool = False,
        created: float | None = None,
        account_id: str | None = None,
    ) -> Account:
        """Make an account for somebody who has a password elsewhere, by its hash: one of the forms in
        `coatcheck.accounts.foreign_hashes`. It is verified as it is, and replaced by one of ours at the first login.

        ``created``: seconds since the Unix epoch, now by default. ``account_id``: the id to keep; a new one by default.
        No password policy applies. Raises `InvalidEmail`, `EmailTaken`, `Conflict` for an id that exists, and
        `Rejected` for a hash that cannot be verified here, a role that is none and an id that cannot be one."""
        account = self.adoptable(
            email, password_hash, roles=roles, claims=claims, disabled=disabled, created=created, account_id=account_id
        )
        await self._accounts.insert(account)
        self._passwords.meet([password_hash])
        self._events.emit(acts.ACCOUNT_ADOPTED, subject=account.id, email=account.email)
        return account

    def adoptable(
        self,
        email: str,
        password_hash: str,
        *,
        roles: Iterable[str] = (),
        claims: Mapping[str, Any] | None = None,
        disabled: bool = False,
        created: float | None = None,
        account_id: str | None = None,
    ) -> Account:
        """The account that `adopt` would make; nothing is written. Raises as it does, but for what is taken."""
        arguments.kinds(str, password_hash=password_hash)
        arguments.texts_or_none(account_id=account_id)
        arguments.flags(disabled=disabled)
        arguments.numbers_or_none(created=created)
        arguments.mappings_or_none(claims=claims)
        address = canonical(email)
        foreign_hashes.read(password_hash)
        if account_id is not None and not _ID.fullmatch(account_id):
            raise Rejected("an id is 1 to 64 of the characters a-z A-Z 0-9 _ . : - and does not begin with a dash")
        return Account(
            id=_new_id() if account_id is None else account_id,
            email=address.written,
            email_key=address.key,
            password_hash=password_hash,
            roles=role_names(roles),
            claims=dict(claims or {}),
            disabled=disabled,
            created=self._now() if created is None else created,
        )

    async def authenticate(self, email: str, password: str, *, ip: str = "") -> AuthenticatedAccount:
        """Log in by address and password. See `Logins.authenticate`."""
        return await self._with_account(await self.logins.authenticate(email, password, ip=ip))

    async def check_password(self, account_id: str, password: str, *, ip: str = "") -> AuthenticatedAccount:
        """Prove again who one is. See `Logins.check_password`."""
        return await self._with_account(await self.logins.check_password(account_id, password, ip=ip))

    async def change_password(
        self, account_id: str, current: str, new: str, *, keep: str | None = None, ip: str = ""
    ) -> Credentials | None:
        """Replace the password and end all sessions; ``keep`` is renewed. See `Logins.change_password`."""
        return await self.logins.change_password(account_id, current, new, keep=keep, ip=ip)

    async def set_password(self, account_id: str, new: str) -> None:
        """Set the password, whatever it was, and end all sessions. Raises `NotFound`, `WeakPassword`, `Throttled`."""
        await self.logins.set_password(account_id, new)

    async def set_roles(self, account_id: str, roles: Iterable[str]) -> None:
        """Replace the roles; they count at once. Raises `NotFound`, and `Rejected` for a role that is none."""
        arguments.texts(account_id=account_id)
        names = role_names(roles)

        async def change() -> None:
            if not await self._accounts.set_roles(account_id, names):
                raise NotFound("no such account")
            await self._revocation.subject_changed(account_id)

        await self._changes.run(change())
        self._events.emit(acts.ACCOUNT_ROLES, subject=account_id, roles=" ".join(sorted(names)))

    async def disable(self, account_id: str) -> None:
        """Refuse every login from now on and end all sessions. Raises `NotFound`. Idempotent."""
        arguments.texts(account_id=account_id)

        async def change() -> None:
            if not await self._accounts.set_disabled(account_id, True):
                raise NotFound("no such account")
            await self._revocation.revoke_subject(account_id)

        await self._changes.run(change())
        self._events.emit(acts.ACCOUNT_DISABLED, subject=account_id)

    async def enable(self, account_id: str) -> None:
        """Allow logins again; sessions of before stay ended. Raises `NotFound`. Idempotent."""
        arguments.texts(account_id=account_id)

        async def change() -> None:
            if not await self._accounts.set_disabled(account_id, False):
                raise NotFound("no such account")
            await self._revocation.subject_changed(account_id)

        await self._changes.run(change())
        self._events.emit(acts.ACCOUNT_ENABLED, subject=account_id)

    async def get(self, account_id: str) -> Account:
        """The account. Raises `NotFound`."""
        arguments.texts(account_id=account_id)
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
        return _facts_of(await self._accounts.by_id(subject))

    async def login_of(self, name: str) -> Login | None:
        """See `UserSource.login_of`: the name is the address, in any spelling."""
        return _login_of(await self._accounts.by_email(_key(name)))

    async def login_of_subject(self, subject: str) -> Login | None:
        """See `UserSource.login_of_subject`."""
        return _login_of(await self._accounts.by_id(subject))

    async def _login_and_facts(self, subject: str) -> tuple[Login | None, SubjectFacts | None]:
        """`login_of_subject` and `facts` in one read."""
        account = await self._accounts.by_id(subject)
        return _login_of(account), _facts_of(account)

    async def replace_hash(self, subject: str, old: str, new: str) -> bool:
        """See `UserSource.replace_hash`."""
        return await self._accounts.set_password_hash(subject, new, expected=old)

    async def prepare(self) -> None:
        """Learn which forms of hashes are stored, so that already the first login takes as long whoever it is for.

        Looks at every account, for `_LOOK` seconds at most; when that is not enough, or the store does not answer, the
        log says so, and the forms are learnt as they are met. Raises `ConfigurationError` where some are stored whose
        package is not installed."""
        if not isinstance(self._accounts, KnowsHashes):
            return
        try:
            async with asyncio.timeout(_LOOK):
                self._passwords.meet(await self._accounts.hashes_beside(self._passwords.prefix))
        except (TimeoutError, StoreUnavailable):
            log.warning("it is not known which password hashes are stored: name them with PasswordHasher(stored=...)")

    async def close(self) -> None:
        """Finish the changes under way and end the hashing threads. The stores stay open. Idempotent."""
        await self.logins.close()

    async def _with_account(self, proved: Proof) -> AuthenticatedAccount:
        account = await self.get(proved.subject)
        return AuthenticatedAccount(
            subject=proved.subject, epoch=proved.epoch, at=proved.at, email=account.email, account=account
        )


def _login_of(account: Account | None) -> Login | None:
    if account is None:
        return None
    return Login(subject=account.id, password_hash=account.password_hash, email=account.email)


def _facts_of(account: Account | None) -> SubjectFacts | None:
    if account is None or account.disabled:
        return None
    return SubjectFacts(roles=account.roles, claims=account.claims)


def _key(email: str) -> str:
    """The form in which addresses are compared; empty, which is nobody's, for what is none."""
    try:
        return canonical(email).key
    except InvalidEmail:
        return ""


def _new_id() -> str:
    """128 random bits. In hexadecimal, so that an id never begins with a dash on a command line."""
    return secrets.token_hex(16)


def role_names(roles: Iterable[str]) -> frozenset[str]:
    """The roles as a set. Raises `Rejected` for one that is none, and for too many."""
    if isinstance(roles, str):
        raise Rejected("roles must be a list of names, not one text")
    names = frozenset(arguments.collection(str, roles, "roles", "['editor']"))
    if len(names) > MAX_ROLES:
        raise Rejected(f"an account may have {MAX_ROLES} roles at most")
    if not all(_ROLE.fullmatch(name) for name in names):
        raise Rejected("a role is 1 to 64 of the characters a-z 0-9 _ . : -")
    return names
