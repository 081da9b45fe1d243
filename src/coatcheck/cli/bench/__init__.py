"""``coatcheck bench``: how fast it is on this machine, with this store."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import textwrap
from typing import Any

import click

from ... import __version__
from ..databases import refuse_default
from ..deployment import json_option, store_options


@click.command("bench", short_help="Measure it on this machine, with your store.")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=30.0,
    help="How long to measure; a few more go by at the start and the end.  [default: 30]",
)
@store_options
@json_option
def command(seconds: float, as_json: bool, **where: str | None) -> None:
    """Measure what Coatcheck does on this machine with this store, by your settings, and draw it.

    Measured are: one verified request, beside the bare signature check; login, first sight, refresh and revoke in the
    store; how long another process still accepts what was revoked; HTTP requests with and without authentication; and
    password hashing.

    It may be pointed at a store that is in use. It writes sessions of made-up subjects, at most 2000, and ends them all
    before it returns, also at Ctrl+C; left alone they would end within 5 minutes. Each leaves a line in the feed, which
    goes as usual. Nobody else's sessions, no account and no signing key is touched. But it keeps the store and two
    cores as busy as it can. Needs neither accounts nor the secret.

    \b
    coatcheck bench
    coatcheck bench --seconds 10 --sessions redis://127.0.0.1:6379/0
    coatcheck bench --database memory://
    """
    from ...service.settings import load, shown_url
    from .run import Interrupted, measured

    settings = load(where)
    if settings.sessions is None:
        refuse_default(settings)
    url = shown_url(settings.sessions or settings.database)

    def announce(subjects: str, most: int) -> None:
        text = (
            f"Measuring {url} for about {seconds:g} s, as busily as it lets us. This writes at most {most} "
            f"sessions, of the subjects {subjects}*, and ends them all. Ctrl+C stops it, and ends them too."
        )
        click.echo("\n".join([*textwrap.wrap(text, shutil.get_terminal_size().columns), ""]), err=True)

    try:
        found = measured(settings, seconds, announce, _progress)
    except Interrupted as error:
        click.echo(f"coatcheck: {error}", err=True)
        sys.exit(error.code)
    results = {"coatcheck": __version__, "python": platform.python_version(), "url": url, "seconds": seconds, **found}
    click.echo(json.dumps(results, indent=2) if as_json else _drawn(results))


def _progress(text: str) -> None:
    """What is being measured, on one line that the next one replaces; only for those who look on."""
    if sys.stderr.isatty():
        room = shutil.get_terminal_size().columns - 1
        click.echo(f"\r{text[:room].ljust(room)}\r", err=True, nl=False)


def _drawn(results: dict[str, Any]) -> str:
    from .chart import can_show, draw

    return draw(results, width=shutil.get_terminal_size().columns, is_ascii=not can_show(sys.stdout.encoding))
