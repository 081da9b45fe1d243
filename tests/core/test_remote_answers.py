"""What a remote verifier makes of answers that are odd, broken or malicious: nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from coatcheck import ConfigurationError, RemoteVerifier, StoreUnavailable, remote_client
from coatcheck.errors import RevokedCredential
from coatcheck.remote import _RemoteFeed
from coatcheck.remote_client import IssuingService
from coatcheck.stores.base import FeedLost
from tests.support.issuer import SERVICE_KEY, answering, response, until
from tests.support.patience import FOR_EVER, SOON, in_time

NOW = "2026-01-01T00:00:00Z"
PAGE: dict[str, Any] = {
    "feed": "f", "cursor": "f:1", "events": [], "since": NOW, "now": NOW, "more": False, "max_staleness": 2.0
}  # fmt: skip


def event(kind: str, **more: Any) -> dict[str, Any]:
    return PAGE | {"events": [{"kind": kind, "at": NOW} | more]}


async def ask(said: bytes, call: Any, timeout: float = SOON, repeat: bool = True) -> Any:
    """What a client makes of this answer."""
    async with answering(lambda line: said, repeat=repeat) as url:
        service = IssuingService(url, SERVICE_KEY, timeout=timeout, tls=None, allow_plain_http=False)
        service.open()
        try:
            return await call(service)
        finally:
            await service.close()


def events(service: IssuingService) -> Any:
    return service.events("f:0", wait=0)


async def test_a_right_answer() -> None:
    """The rest of this file would prove nothing without it."""
    read = await ask(response(json.dumps(event("session_revoked", session_id="s")).encode()), events)
    assert (read.feed, read.cursor, read.events[0].session_id, read.since) == ("f", "f:1", "s", 1767225600.0)


@pytest.mark.parametrize("page", [
    {}, [], None, "f:1", PAGE | {"feed": ""}, PAGE | {"feed": 1}, PAGE | {"cursor": None},
    PAGE | {"cursor": "x" * 16_385}, PAGE | {"cursor": ""},
    PAGE | {"events": {}}, PAGE | {"events": None}, PAGE | {"since": "2026-01-01T00:00:00"}, PAGE | {"since": 1.0},
    PAGE | {"now": "yesterday"}, PAGE | {"more": 0}, PAGE | {"more": True}, PAGE | {"max_staleness": 0},
    PAGE | {"max_staleness": -1}, PAGE | {"max_staleness": "2"}, {k: v for k, v in PAGE.items() if k != "since"},
    event("session_revoked"), event("session_revoked", session_id=""), event("session_revoked", session_id=7),
    event("subject_cut_off", subject="ann"), event("subject_cut_off", number=1),
    event("subject_cut_off", subject="ann", number=-1), event("subject_cut_off", subject="ann", number=1.5),
    event("subject_cut_off", subject="ann", number=True), event("session_changed", session_id="s"),
    event("subject_changed", subject="ann"), event("token_revoked", session_id="s"), event("made_up"), event(""),
    event("SESSION_REVOKED", session_id="s"),
], ids=lambda page: json.dumps(page)[:60])  # fmt: skip
async def test_pages_that_are_none(page: Any) -> None:
    """A wrong type, a missing field, an unknown kind: the read has failed, and no lease comes of it."""
    with pytest.raises(StoreUnavailable, match=r"page of the feed|an event|a page"):
        await ask(response(json.dumps(page).encode()), events)


@pytest.mark.parametrize(("said", "why"), [
    (b"", "cannot be reached"),
    (b"nonsense\r\n\r\n", "cannot be reached"),
    (response(b"{", 200), "page of the feed"),
    (response(b"[" * 100_000, 200), "page of the feed"),
    (response(b"\xff\xfe", 200), "page of the feed"),
    (response(json.dumps(PAGE).encode(), 200, "text/html"), "type"),
    (response(json.dumps(PAGE).encode(), 200, "application/problem+json"), "type"),
    (response(json.dumps(PAGE).encode(), 200, extra="Content-Encoding: gzip\r\n"), "compressed"),
    (response(json.dumps(PAGE).encode(), 206), "answered 206"),
    (response(b"", 204), "answered 204"),
    (response(b"", 302, extra="Location: http://127.0.0.1:1/auth/events\r\n"), "answered 302"),
    (response(json.dumps(PAGE).encode(), 302, extra="Location: /auth/events\r\n"), "answered 302"),
    (response(b"", 503, "application/problem+json"), "answered 503"),
    (response(b"<html>", 500, "text/html"), "answered 500"),
    (response(b'{"code":"gone"}', 410, "application/problem+json"), "answered 410"),
    (response(b'{"code":"feed_lost"}', 410, "text/html"), "answered 410"),
    (response(b"{}", 401, "application/problem+json"), "service key"),
    (response(b"", 404, "text/html"), "no issuing service"),
    (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{}", "in time"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", "cannot be reached"),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
async def test_answers_that_are_none(said: bytes, why: str) -> None:
    """Wrong form, status or type; redirects are not followed; what does not end is not waited for."""
    with pytest.raises(StoreUnavailable, match=why):
        await ask(said, events, timeout=0.3 if why == "in time" else SOON)


async def test_feed_lost() -> None:
    """It is said with 410 and its code."""
    with pytest.raises(FeedLost):
        await ask(response(b'{"code":"feed_lost","status":410}', 410, "application/problem+json"), events)


async def test_endless_answers() -> None:
    """What is larger than any right answer is not read to its end, announced or not."""
    chunk = b"%x\r\n" % 65536 + b" " * 65536 + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    for call, enough in ((events, 600), (IssuingService.keys, 40)):
        said = head.replace(b"OK\r\n", b"OK\r\nCache-Control: no-store\r\n") + chunk * enough
        with pytest.raises(StoreUnavailable, match="too large"):
            await ask(said, call)


@pytest.mark.parametrize("body", [
    b"{}", b"[]", b'{"keys":[]}', b'{"keys":[{"kty":"oct","k":"AAAA"}]}', b"nonsense", b'{"keys":[{"kty":"EC"}]}',
])  # fmt: skip
async def test_keys_that_are_none(body: bytes) -> None:
    """One bad key refuses the set, and a shared secret is never taken from the network."""
    with pytest.raises(StoreUnavailable, match="keys cannot be used"):
        await ask(response(body, extra="Cache-Control: no-store\r\n"), IssuingService.keys)


async def test_an_answer_to_another_question() -> None:
    """One that may have been kept, or was meant for somebody else, proves nothing about now."""
    for call, body in (
        (events, json.dumps(PAGE).encode()),
        (IssuingService.keys, b'{"keys":[]}'),
        (lambda service: service.check("t", subject="ann", session_id="s"), b'{"active":true,"sub":"ann","sid":"s"}'),
    ):
        for extra in ("", "Coatcheck-Nonce: AAAAAAAAAAAAAAAA\r\n"):
            with pytest.raises(StoreUnavailable, match="cache"):
                await ask(response(body, extra=extra), call, repeat=False)


async def test_no_two_questions_are_alike() -> None:
    """Whatever keeps answers by their URL has none for ours."""
    lines: list[str] = []
    async with answering(lambda line: lines.append(line) or response(json.dumps(PAGE).encode())) as url:  # type: ignore[func-returns-value]
        service = IssuingService(url, SERVICE_KEY, timeout=FOR_EVER, tls=None, allow_plain_http=False)
        service.open()
        for _ in range(3):
            await events(service)
        await service.close()
    assert len(set(lines)) == 3


@pytest.mark.parametrize(("body", "error"), [
    (b'{"active":true,"sub":"ann","sid":"s"}', None),
    (b'{"active":false}', RevokedCredential),
    (b'{"active":true}', RevokedCredential),
    (b'{"active":true,"sub":"bob","sid":"s"}', RevokedCredential),
    (b'{"active":true,"sub":"ann","sid":"t"}', RevokedCredential),
    (b'{"active":"true","sub":"ann","sid":"s"}', StoreUnavailable),
    (b'{"active":1,"sub":"ann","sid":"s"}', StoreUnavailable),
    (b'{"sub":"ann","sid":"s"}', StoreUnavailable),
    (b"", StoreUnavailable),
])  # fmt: skip
async def test_introspections(body: bytes, error: type[Exception] | None) -> None:
    """Only a plain yes about this subject and session is one."""

    def check(service: IssuingService) -> Any:
        return service.check("token", subject="ann", session_id="s")

    if error is None:
        await ask(response(body), check)
        return
    with pytest.raises(error):
        await ask(response(body), check)


async def test_silence_from_the_first_byte() -> None:
    """Start ends in stated time when the service accepts a connection and says nothing."""

    async def silence(line: str) -> bytes:
        await asyncio.sleep(60)
        return b""

    async with answering(silence) as url:
        with pytest.raises(StoreUnavailable, match="in time"):
            await RemoteVerifier(url, service_key=SERVICE_KEY, timeout=0.2).start()


async def test_waits_fit_the_lease() -> None:
    """Where the issuing service's lease is the shorter one, two reads fit into it even so."""
    lines: list[str] = []

    def answer(line: str) -> bytes:
        lines.append(line)
        return response(json.dumps(PAGE | {"max_staleness": 0.5}).encode())

    async with answering(answer) as url:
        service = IssuingService(url, SERVICE_KEY, timeout=FOR_EVER, tls=None, allow_plain_http=False)
        service.open()
        feed = _RemoteFeed(service, 2.0)
        for _ in range(2):
            await feed.events("f:1", wait=0.25)
        await service.close()
    assert "wait=0.125&" in lines[1]


async def test_silence_is_not_waited_for_longer_than_any_answer_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease of an hour does not make a dead line look alive for a quarter of it."""
    monkeypatch.setattr(remote_client, "LONGEST_WAIT", 0.1)
    with pytest.raises(StoreUnavailable, match="in time"):
        async with in_time():
            await ask(b"HTTP/1.1 200 OK\r\n", lambda service: service.events("f:0", wait=900), timeout=0.1)


async def test_questions_do_not_hold_up_the_feed() -> None:
    """However many introspections go unanswered, the feed and the keys are read: the lease hangs from that."""
    held, asked = asyncio.Event(), 0

    async def answer(line: str) -> bytes:
        nonlocal asked
        if "/introspect" in line:
            asked += 1
            await held.wait()
            return b""
        return response(json.dumps(PAGE).encode())

    async with answering(answer) as url:
        service = IssuingService(url, SERVICE_KEY, timeout=FOR_EVER, tls=None, allow_plain_http=False)
        service.open()
        questions = [asyncio.create_task(service.check("t", subject="ann", session_id="s")) for _ in range(50)]
        try:
            await until(lambda: asked >= 8)
            async with in_time():
                await service.events("f:0", wait=0)
        finally:
            held.set()
            await asyncio.gather(*questions, return_exceptions=True)
            await service.close()


async def test_the_redirected_key_goes_nowhere() -> None:
    """A redirect is not followed with the service key, wherever it points."""
    asked = []

    async with answering(lambda line: asked.append(line) or response(b"{}")) as elsewhere:  # type: ignore[func-returns-value]
        said = response(b"", 307, extra=f"Location: {elsewhere}/events\r\n")
        with pytest.raises(StoreUnavailable):
            await ask(said, events)
    assert not asked


def test_without_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coatcheck does not need it until a RemoteVerifier is made, which says what to install."""
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ConfigurationError, match=r"needs httpx: pip install 'coatcheck\[remote\]'"):
        RemoteVerifier("https://auth.test/auth", service_key=SERVICE_KEY)
