"""``coatcheck migrate``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from ..errors import ConfigurationError
from .databases import refuse_default
from .deployment import json_option, store_options
from .output import answer

if TYPE_CHECKING:
    from ..service.settings import Settings


@click.command("migrate", short_help="Make the database's schema, or bring it up to date.")
@click.option("--without", metavar="FEATURE", help="Take this feature's tables away, with all that is in them.")
@store_options
@json_option
def command(database: str | None, sessions: str | None, config: str | None, without: str | None, as_json: bool) -> None:
    """Make the schema of the database, or bring it up to date: all of it or nothing. So with the tables of the features
    that the settings name.

    Doing it again changes nothing. It may be done while the service runs.

    \b
    coatcheck migrate
    coatcheck migrate --database sqlite:////var/lib/coatcheck/coatcheck.db
    coatcheck migrate --database postgresql://coatcheck@db.example/coatcheck
    """
    from ..service.settings import load, shown_url

    settings = load({"database": database, "sessions": sessions, "config": config})
    if database is None and "COATCHECK_DATABASE" not in os.environ:
        refuse_default(settings)
    if without is not None:
        gone = asyncio.run(_remove(settings, without))
        answer({"removed": gone}, as_json=as_json, text="tables removed" if gone else "there were none")
        return
    done = {shown_url(url): was for url, was in asyncio.run(_migrate(settings)).items()}
    words = {"missing": "schema made", "older": "schema brought up to date", "current": "nothing to do"}
    answer(
        {"databases": [{"database": url, "before": was} for url, was in done.items()]},
        as_json=as_json,
        text="\n".join(f"{url}: {words[was]}" for url, was in done.items()),
    )


async def _migrate(settings: Settings) -> dict[str, str]:
    """What each database was before."""
    from ..stores.sql import migrate, schema_state

    before = {}
    for url in dict.fromkeys((settings.database, settings.sessions or settings.database)):
        if url is settings.sessions and url.startswith(("redis", "valkey")):
            continue  # has no schema; the accounts beside it have
        state = await schema_state(url)
        await migrate(url)
        before[url] = state.value
    await _of_features(settings, True)
    return before


async def _of_features(settings: Settings, migrate: bool) -> None:
    from ..features.tables import ensure_tables

    if any(feature.tables is not None for feature in settings.features):
        async with _opened(settings) as store:
            await ensure_tables(settings.features, store, migrate=migrate)


async def _remove(settings: Settings, name: str) -> bool:
    """Whether there was anything. Raises `ConfigurationError` while the settings still want the feature."""
    from ..features.registry import kind_of
    from ..features.tables import remove_tables

    if any(feature.name == name for feature in settings.features):
        raise ConfigurationError(f"features.{name} is in the settings: take it out first, everywhere")
    kind = kind_of(name)
    async with _opened(settings) as store:
        return await remove_tables(kind, store)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[object]:
    from ..stores import open_store

    store = open_store(settings.database)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
