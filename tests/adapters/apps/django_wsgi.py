"""The suite's application in Django under WSGI, asked as a WSGI server asks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from tests.adapters.apps.django_project import setup

setup()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402 - needs settings
from django.test import override_settings  # noqa: E402

from coatcheck.blocking import Auth  # noqa: E402
from tests.adapters.apps.flask import WsgiServed  # noqa: E402
from tests.adapters.suite.contract import Answer, Headers, Setting  # noqa: E402

BEHIND_PROXY = {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"), "USE_X_FORWARDED_HOST": True}


@contextmanager
def project(auth: Auth) -> Iterator[None]:
    """The settings under which a handler is made; it keeps what it was made with."""
    with override_settings(COATCHECK={"auth": auth, "users": "coatcheck"}):
        yield


class ServedWsgi(WsgiServed):
    """One handler. Settings are read at each request, so those of a proxy hold while one is answered."""

    def __init__(self, app: Any, auth: Auth, setting: Setting) -> None:
        super().__init__(app, auth)
        self._setting = setting

    async def request(
        self, method: str, path: str, *, headers: Headers = (), body: bytes = b"", base: str = "https://app.example"
    ) -> Answer:
        with override_settings(**BEHIND_PROXY if self._setting.behind_proxy else {}):
            answer = await super().request(method, path, headers=headers, body=body, base=base)
        # Django writes Set-Cookie with a space before the value, which is none of it (RFC 9110 §5.5).
        return replace(answer, headers=[(name, value.strip(" \t")) for name, value in answer.headers])


def under(prefix: str, app: Any) -> Any:
    """As a server that mounts the application at a prefix tells it."""

    def mounted(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        assert path.startswith(prefix)
        return app({**environ, "SCRIPT_NAME": prefix, "PATH_INFO": path.removeprefix(prefix)}, start_response)

    return mounted if prefix else app


@asynccontextmanager
async def serving(setting: Setting) -> AsyncIterator[ServedWsgi]:
    """See `contract.Serving`."""
    auth = Auth(**setting.arguments())
    with project(auth):
        app = WSGIHandler()
    try:
        yield ServedWsgi(under(setting.prefix, app), auth, setting)
    finally:
        await asyncio.to_thread(auth.close)
