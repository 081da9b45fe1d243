"""What a command works on: the stores of a deployment, opened for one command and closed after it.

No feed is followed and nothing runs in the background: a command writes to the stores, and the running processes hear
of it from the feed. Nothing is made: a database that is not there is an error.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import click

from .. import secret_file
from ..accounts import Accounts, Throttle
from ..clock import Clock
from ..credentials.jwt import AccessTokens
from ..credentials.keyring import Keyring, Secrets
from ..errors import ConfigurationError, NotFound
from ..events import Events
from ..follower import Follower
from ..keys import Keys
from ..model import Account
from ..revocation import Revocation
from ..service.settings import Settings, load
from ..stores import KeyedSessions, Store, embedded_path, open_store
from ..stores.base import AccountStore, SessionStore
from ..table import Table
from ..view import RevocationView
from .databases import refuse_default

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


def store_options(command: Command) -> Command:
    """``--database``, ``--sessions`` and ``--config``, for every command that opens a deployment."""
    for decorate in (
        click.option("--config", metavar="FILE", help="TOML file with settings.  [env: COATCHECK_CONFIG]"),
        click.option("--sessions", metavar="URL", help="Where the sessions are, if not in the database."),
        click.option(
            "--database",
            metavar="URL",
            help="The database.  [env: COATCHECK_DATABASE; default: sqlite:///coatcheck.db]",
        ),
    ):
        command = decorate(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@dataclass(frozen=True)
class Deployment:
    """The opened stores and what can be built on them."""

    settings: Settings
    store: Store | KeyedSessions
    sessions: SessionStore
    clock: Clock

    def secrets(self) -> Secrets:
        """Raises `ConfigurationError` when there are none: a command never makes one up."""
        if self.settings.secrets:
            return Secrets(self.settings.secrets)
        path = embedded_path(self.settings.database)
        if path is None:
            raise ConfigurationError("the secret is needed: set COATCHECK_SECRET or COATCHECK_SECRET_FILE")
        if not secret_file.secret_beside(path).exists():
            raise ConfigurationError(
                f"there is no secret file {secret_file.secret_beside(path)}: start the service once, which makes it, "
                "or set COATCHECK_SECRET as the service has it"
            )
        return Secrets(secret_file.read(secret_file.secret_beside(path), path))

    @property
    def account_store(self) -> AccountStore:
        """Raises `ConfigurationError` where the database keeps no accounts."""
        if not isinstance(self.store, AccountStore):
            raise ConfigurationError(
                "accounts are kept in SQL: name a SQL database with --database, and this one with --sessions"
            )
        return self.store

    @cached_property
    def events(self) -> Events:
        """What commands do, for the log."""
        return Events(self.clock.now, self.settings.policy.event_addresses)

    @cached_property
    def access_tokens(self) -> AccessTokens:
        """Knows no key until `keys` has loaded them."""
        return AccessTokens(Keyring([]))

    @cached_property
    def keys(self) -> Keys:
        """The signing keys. Needs the secret."""
        return Keys(
            self.store, self.sessions, self.secrets(), self.access_tokens, self.clock, self.settings.policy, self.events
        )

    @cached_property
    def revocation(self) -> Revocation:
        """Ends sessions in the store."""
        policy = self.settings.policy
        table, view = Table(policy.table_entries, policy.table_bytes), RevocationView(policy.event_retention)

        async def no_keys() -> None:
            """Nothing here verifies tokens."""

        follower = Follower(self.sessions, table, view, self.clock, policy, no_keys)
        return Revocation(self.sessions, follower, self.clock, policy, self.events)

    @cached_property
    def accounts(self) -> Accounts:
        """Coatcheck's own accounts. An operator is not limited, so the throttle's key names nothing."""
        return Accounts(
            self.account_store,
            self.sessions,
            self.revocation,
            passwords=self.settings.password_hasher(),
            policy=self.settings.password_policy(),
            throttle=Throttle(self.account_store, key=secrets.token_bytes(32)),
            now=self.clock.now,
            events=self.events,
        )

    async def account_of(self, user: str) -> Account | None:
        """The account with this id or e-mail address; None where there is none, or where none are kept."""
        if not isinstance(self.store, AccountStore):
            return None
        return await self.store.by_id(user) or await self.accounts.find_by_email(user)

    async def account(self, user: str) -> Account:
        """The account with this e-mail address or id. Raises `NotFound`."""
        found = await self.accounts.find_by_email(user) if "@" in user else await self.account_store.by_id(user)
        if found is None:
            raise NotFound("there is no such account")
        return found

    async def subject(self, user: str) -> str:
        """The subject that an e-mail address or a subject id stands for; an application's own subjects have no
        account here. Raises `NotFound` for one never heard of."""
        account = await self.account_of(user)
        if account is not None:
            return account.id
        if await self.sessions.standing_of(user) == (0, 0):
            page = await self.sessions.sessions_of(user, now=self.clock.now(), limit=1)
            if not page.sessions:
                raise NotFound("there is no such subject here")
        return user


def run(
    work: Callable[[Deployment], Coroutine[Any, Any, T]],
    *,
    database: str | None,
    sessions: str | None,
    config: str | None,
) -> T:
    """Open the deployment that the options name, do the work, close it."""
    settings = load({"database": database, "sessions": sessions, "config": config})

    async def main() -> T:
        async with opened(settings) as deployment:
            return await work(deployment)

    return asyncio.run(main())


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Deployment]:
    """The deployment, as it is there. Raises `ConfigurationError`, also where no database is named and the one here has
    another name, and `StoreUnavailable`."""
    refuse_default(settings)
    clock = Clock()
    stores: list[Store | KeyedSessions] = []
    try:
        for url in dict.fromkeys((settings.database, settings.sessions or settings.database)):
            if url.startswith("memory:") or (url.startswith("sqlite:") and embedded_path(url) is None):
                raise ConfigurationError("a database in memory belongs to the process that made it; name another one")
            stores.append(open_store(url, wall=clock.wall))
            await stores[-1].open()
        deployment = Deployment(settings, stores[0], stores[-1], clock)
        began = clock.monotonic()
        clock.follow(await deployment.sessions.time(), began, clock.monotonic())
        try:
            yield deployment
        finally:
            if "accounts" in vars(deployment):
                await deployment.accounts.close()
    finally:
        for store in stores:
            await store.close()
