"""The suite's application in Django under ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tests.adapters.apps.django_project import setup

setup()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402 - needs settings
from django.test import override_settings  # noqa: E402

from coatcheck import Auth  # noqa: E402
from coatcheck.blocking import Auth as BlockingAuth  # noqa: E402
from tests.adapters.apps.django_wsgi import BEHIND_PROXY, project  # noqa: E402
from tests.adapters.apps.support import ServedASGI  # noqa: E402
from tests.adapters.suite.contract import Answer, Headers, Setting  # noqa: E402

T = TypeVar("T")


class ServedAsgi:
    """One handler, and an `Auth` in its own thread."""

    def __init__(self, app: Any, auth: BlockingAuth, setting: Setting) -> None:
        self._inner = ServedASGI(app, None, {})  # type: ignore[arg-type]  # its Auth is not in this loop
        self._auth = auth
        self._setting = setting

    async def request(
        self, method: str, path: str, *, headers: Headers = (), body: bytes = b"", base: str = "https://app.example"
    ) -> Answer:
        with override_settings(**BEHIND_PROXY if self._setting.behind_proxy else {}):
            return await self._inner.request(method, path, headers=headers, body=body, base=base)

    async def run(self, work: Callable[[Auth], Awaitable[T]]) -> T:
        return await self._auth.arun(work)


def under(prefix: str, app: Any) -> Any:
    """As a server that is given ``--root-path`` tells it."""

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        assert scope["path"].startswith(prefix)
        await app({**scope, "root_path": prefix}, receive, send)

    return mounted if prefix else app


@asynccontextmanager
async def serving(setting: Setting) -> AsyncIterator[ServedAsgi]:
    """See `contract.Serving`."""
    auth = BlockingAuth(**setting.arguments())
    with project(auth):
        app = ASGIHandler()
    try:
        yield ServedAsgi(under(setting.prefix, app), auth, setting)
    finally:
        await asyncio.to_thread(auth.close)
