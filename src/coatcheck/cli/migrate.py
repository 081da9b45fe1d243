"""``coatcheck migrate``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from .deployment import json_option, store_options
from .output import answer

if TYPE_CHECKING:
    from ..service.settings import Settings


@click.command("migrate", short_help="Make the database's schema, or bring it up to date.")
@store_options
@json_option
def command(database: str | None, sessions: str | None, config: str | None, as_json: bool) -> None:
    """Make the schema of the database, or bring it up to date: all of it or nothing.

    Doing it again changes nothing. It may be done while the service runs.

    \b
    coatcheck migrate
    coatcheck migrate --database sqlite:////var/lib/coatcheck/coatcheck.db
    coatcheck migrate --database postgresql://coatcheck@db.example/coatcheck
    """
    from ..service.settings import load, shown_url

    settings = load({"database": database, "sessions": sessions, "config": config})
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
    return before
