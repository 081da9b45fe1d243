"""``coatcheck doctor``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import click

from ..auth import Auth
from ..errors import CoatcheckError, ConfigurationError, StoreUnavailable
from ..features.base import Feature, Finding
from ..features.tables import ensure_tables
from ..service.settings import Settings, load, shown_url
from ..stores.base import ChecksWrites
from .deployment import Deployment, json_option, opened, store_options
from .output import answer, printable

UNWELL = 1
"""The exit code where something is not."""
_MOST = 5.0
"""Seconds that a machine's clock and the store's may differ without a word."""


@click.command("doctor", short_help="Look whether all is well, and say what to do.")
@store_options
@json_option
def command(database: str | None, sessions: str | None, config: str | None, as_json: bool) -> None:
    """Look whether a deployment is well: settings, database, schema, clock, keys, and what its features look at. It
    changes nothing. The exit code is 1 where something is not well.

    \b
    coatcheck doctor
    coatcheck doctor --config /etc/coatcheck.toml --json
    """
    settings = load({"database": database, "sessions": sessions, "config": config})
    found = asyncio.run(_look(settings))
    answer(
        {"well": all(one.well for one in found), "findings": [
            {"well": one.well, "text": one.text, **({"cure": one.cure} if one.cure else {})} for one in found
        ]},
        as_json=as_json,
        text="\n".join(_line(one) for one in found),
    )  # fmt: skip
    if not all(one.well for one in found):
        sys.exit(UNWELL)


def _line(one: Finding) -> str:
    cure = f": {printable(one.cure)}" if one.cure else ""
    return f"{'ok  ' if one.well else 'BAD '} {printable(one.text)}{cure}"


async def _look(settings: Settings) -> list[Finding]:
    found = [Finding(True, "the settings can be read")]
    where = shown_url(settings.database)
    try:
        async with opened(settings) as deployment:
            found.append(Finding(True, f"the database {where} answers, and its schema is this version's"))
            found += [one async for one in _of_core(deployment)]
            found.append(await _of_tables(settings, deployment))
    except (ConfigurationError, StoreUnavailable) as error:
        return [*found, Finding(False, f"the database {where}", str(error))]
    if settings.features and all(one.well for one in found):  # so a start changes nothing
        async with settings.auth() as auth:
            for feature in auth.features:
                found += await _of_feature(feature, auth)
    return found


async def _of_core(deployment: Deployment) -> AsyncIterator[Finding]:
    for store in {deployment.store, deployment.sessions}:
        if isinstance(store, ChecksWrites):
            try:
                await store.check_writes()
            except StoreUnavailable as error:
                yield Finding(False, "a database takes no writes, so nobody can log in", str(error))
            else:
                yield Finding(True, "the database takes writes")
    apart = abs(deployment.clock.now() - deployment.clock.wall())
    text = f"this machine's clock and the database's are {apart:.1f} s apart"
    yield Finding(apart <= _MOST, text, "" if apart <= _MOST else "set them by NTP")
    try:
        await deployment.keys.load()
        number = len(await deployment.keys.list())
    except ConfigurationError as error:
        yield Finding(False, "the signing keys", str(error))
        return
    keys = "1 signing key" if number == 1 else f"{number} signing keys"
    yield Finding(number > 0, f"{keys}, and the secret opens all", "" if number else "start the service once")


async def _of_tables(settings: Settings, deployment: Deployment) -> Finding:
    text = "the features' tables are this version's"
    try:
        await ensure_tables(settings.features, deployment.store, migrate=False)
    except (ConfigurationError, StoreUnavailable) as error:
        return Finding(False, text, str(error))
    return Finding(True, text)


async def _of_feature(feature: Feature, auth: Auth) -> list[Finding]:
    try:
        return list(await feature.checks(auth))
    except CoatcheckError as error:
        return [Finding(False, f"the feature {feature.name} could not be looked at", str(error))]
