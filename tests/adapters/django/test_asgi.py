"""What only ASGI has: headers that come several times, and an event loop that must go on."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIHandler

from coatcheck import Mode
from coatcheck.blocking import Auth
from tests.adapters.apps.support import ServedASGI


def handler() -> ServedASGI:
    return ServedASGI(ASGIHandler(), None, {})  # type: ignore[arg-type]  # its Auth is in another loop


async def test_cookies_apart(auth: Auth, ann: User) -> None:
    """HTTP/2 may send each cookie in a header of its own."""
    made = await auth.arun(lambda inner: inner.login(str(ann.pk), mode=Mode.SESSION))
    headers = [("Cookie", "theme=dark"), ("Cookie", f"__Host-coatcheck={made.session_token}"), ("Cookie", "a=b")]
    served = handler()
    for _ in range(2):
        answer = await served.request("GET", "/open", headers=headers)
        assert answer.json() == {"subject": str(ann.pk)}
    twice = [*headers, ("Cookie", "__Host-coatcheck=x")]
    assert (await served.request("GET", "/open", headers=twice)).json() == {"subject": None}


async def test_nothing_blocks(auth: Auth, ann: User) -> None:
    """While the store is asked about somebody the loop goes on; what is in memory never leaves it."""
    made = await auth.arun(lambda inner: inner.login(str(ann.pk), mode=Mode.SESSION))
    headers = [("Cookie", f"__Host-coatcheck={made.session_token}")]
    asked, answered = threading.Event(), threading.Event()

    async def slow(inner: Any) -> None:
        find = inner.sessions.find

        async def found(*args: Any, **more: Any) -> Any:
            asked.set()
            await asyncio.to_thread(answered.wait, 30)
            return await find(*args, **more)

        inner.sessions.find = found

    await auth.arun(slow)
    served = handler()
    request = asyncio.create_task(served.request("GET", "/mine-async", headers=headers))
    assert await asyncio.to_thread(asked.wait, 30)
    assert (await served.request("GET", "/open")).json() == {"subject": None}
    assert not request.done()
    answered.set()
    assert (await request).json() == {"subject": str(ann.pk)}
    asked.clear()
    assert (await served.request("GET", "/mine-async", headers=headers)).status == 200
    assert not asked.is_set()
