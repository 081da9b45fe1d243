"""``coatcheck restored``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import click

from ..errors import Rejected
from ..follower import BEGIN_MARGIN
from ..service.settings import shown_url
from ..stores.base import CLOCK_STEP, FeedRead
from .deployment import Deployment, json_option, run, store_options
from .output import answer, timestamp


@click.command("restored", short_help="Say that a backup of the sessions was put back.")
@click.option(
    "--clock",
    is_flag=True,
    help="The store's clock was far ahead and has been put right: go by it again, and renew keys.",
)
@store_options
@json_option
def command(clock: bool, as_json: bool, **where: str | None) -> None:
    """Say that a backup of the sessions was put back.

    Processes that were running notice it by themselves, and do this. After a restore with none of them running nobody
    can know: so say it, before or after they are started. From then on access tokens of before count only while the
    store has their session. It ends no session, and may be said again.

    Sessions that were ended after the backup was made are back. End those that matter once more:

    \b
    coatcheck restored
    coatcheck sessions revoke --subject ann@example.com

    With --clock, for a store whose clock was ahead while people logged in: its time has stood still since, until the
    clock catches up. Then it goes by its clock at once, what is dated later ends, and the signing keys are renewed.
    """
    store, read = run(_in_store(_put_right if clock else _begin_anew), **where)
    answer(
        {"store": store, "feed": {"since": timestamp(read.since), "now": timestamp(read.now)}},
        as_json=as_json,
        text=f"{store}: the feed begins anew, nothing from before {timestamp(read.since)} is taken as known",
    )


def _in_store(
    work: Callable[[Deployment], Awaitable[FeedRead]],
) -> Callable[[Deployment], Coroutine[Any, Any, tuple[str, FeedRead]]]:
    """With the name of the store in which it is done: sessions may be elsewhere than accounts."""

    async def named(deployment: Deployment) -> tuple[str, FeedRead]:
        settings = deployment.settings
        return shown_url(settings.sessions or settings.database), await work(deployment)

    return named


async def _begin_anew(deployment: Deployment) -> FeedRead:
    sessions, now = deployment.sessions, deployment.clock.now()
    feed = (await sessions.events(None, wait=0)).feed
    await sessions.begin_anew(feed, since=now + BEGIN_MARGIN, now=now)
    return await sessions.events(None, wait=0)


async def _put_right(deployment: Deployment) -> FeedRead:
    """What can fail comes first, and the clock last: one that is interrupted is run again."""
    sessions, clock = deployment.sessions, deployment.clock
    read = await sessions.events(None, wait=0)
    if read.behind <= CLOCK_STEP:
        raise Rejected("the store's clock is not behind the time that it has given out: there is nothing to put right")
    await deployment.keys.load()  # with the right secret
    began, right = clock.monotonic(), read.now - read.behind
    clock.follow(right, began, began)
    present = await deployment.keys.list()
    await deployment.keys.rotate(at_once=True)
    for key in present:
        await deployment.keys.withdraw(key.kid)
    await sessions.begin_anew(read.feed, since=clock.now() + BEGIN_MARGIN, now=clock.now(), clock=clock.now())
    return await sessions.events(None, wait=0)
