"""Litestar: the plugin and a dependency; without authentication, one that does nothing."""

from __future__ import annotations

from litestar import Litestar, get
from litestar.di import NamedDependency
from shared import ANSWER, GUARDED, asynchronous, logged_in

from coatcheck.litestar import CoatcheckPlugin, CurrentUser

auth = asynchronous()


async def nothing() -> None: ...


@get("/")
async def guarded(current_user: CurrentUser) -> dict[str, object]:
    return ANSWER


@get("/", dependencies={"current_user": nothing})
async def bare(current_user: NamedDependency[None]) -> dict[str, object]:
    return ANSWER


class Running:
    """The plugin has started ``auth`` by then."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *exc_info: object) -> None: ...


app = Litestar(
    [guarded if GUARDED else bare],
    plugins=[CoatcheckPlugin(auth)] if GUARDED else [],
    lifespan=[lambda app: logged_in(auth, Running() if GUARDED else auth)],
)
