"""GET /events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from coatcheck import Mode
from coatcheck.service import feed
from coatcheck.service.app import auth_app
from coatcheck.service.feed import Shared
from coatcheck.stores.base import FeedRead
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.memory import feed as memory_feed
from tests.service.api.conftest import running
from tests.service.api.world import SERVICE_KEY, World, code
from tests.support.gates import GatedStore
from tests.support.issuer import until

KEY = {"Authorization": f"Bearer {SERVICE_KEY}"}


async def get(world: World, cursor: str | None = None, wait: float = 0.0, **more: Any) -> httpx.Response:
    params = {"wait": wait} | ({} if cursor is None else {"cursor": cursor})
    async with world.client(browser=False) as client:
        return await client.get("/events", params=params | more, headers=KEY)


async def page(world: World, cursor: str | None = None, wait: float = 0.0) -> Any:
    response = await get(world, cursor, wait)
    assert response.status_code == 200, response.text
    return response.json()


def kinds(answer: Any) -> list[str]:
    return [event["kind"] for event in answer["events"]]


@pytest.fixture
async def quiet() -> AsyncIterator[World]:
    """A gated store that only this test's requests read: the process's own follower has been stopped."""
    async with running(GatedStore(MemoryStore())) as world:
        await world.auth.follower.stop()
        world.auth.follower.lease.deadline = float("inf")
        yield world


async def test_every_kind(world: World) -> None:
    """Without a cursor all that is kept, then what is new; fields that a kind does not use are left out."""
    start = await page(world)
    assert kinds(start) == ["keys_changed"]
    assert (start["more"], start["max_staleness"]) == (False, 2.0)
    first, second = await world.login(), await world.login(Mode.JWT)
    subject = world.account.id
    await world.auth.revoke(first.session.id)
    await world.auth.accounts.set_roles(subject, ["editor"])
    await world.auth.revocation.revoke_token(second.session.id, "token")
    await world.auth.revoke_subject(subject, excepted=second.session.id)
    after = await page(world, start["cursor"])
    epoch, version = await world.auth.sessions.standing_of(subject)
    for event in after["events"]:
        assert event.pop("at").endswith("Z")
    assert after["events"] == [
        {"kind": "session_revoked", "subject": subject, "session_id": first.session.id},
        {"kind": "subject_changed", "subject": subject, "number": version},
        {"kind": "token_revoked", "session_id": second.session.id, "token_id": "token"},
        {"kind": "subject_cut_off", "subject": subject, "session_id": second.session.id, "number": epoch},
    ]
    again = await page(world, after["cursor"])
    assert (again["events"], again["feed"]) == ([], start["feed"])
    assert kinds(await page(world)) == [*kinds(start), *kinds(after)]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}])
async def test_it_needs_a_service_key(gated: World, headers: dict[str, str]) -> None:
    """The feed names sessions and subjects: it is for services only, and nothing is read for anybody else."""
    before = gated.store.calls["events"]
    async with gated.client(browser=False) as client:
        assert code(await client.get("/events", headers=headers)) == "401 invalid_service_key"
    credentials = await gated.login(Mode.JWT)
    async with gated.holder(credentials, browser=False) as client:
        assert code(await client.get("/events")) == "401 invalid_service_key"
    assert gated.store.calls["events"] <= before + 1


@pytest.mark.parametrize("given", [
    {"wait": "-1"}, {"wait": "5.1"}, {"wait": "nan"}, {"wait": "inf"}, {"wait": "x"}, {"wait": ""}, {"cursor": ""},
    {"cursor": "x" * 16_385},
])  # fmt: skip
async def test_bad_parameters(gated: World, given: dict[str, str]) -> None:
    """A wait is a number from 0 to 5, a cursor one of ours in size."""
    assert code(await get(gated, **given)) == "422 invalid_request"  # type: ignore[arg-type]


@pytest.mark.parametrize("cursor", ["nonsense", "f:0", "\0", "é", "'; DROP TABLE events"])
async def test_a_cursor_that_proves_nothing(world: World, cursor: str) -> None:
    """Of another feed, or none: start again."""
    for _ in range(2):
        assert code(await get(world, cursor, 1.0)) == "410 feed_lost"


async def test_a_cursor_beyond_the_end(world: World) -> None:
    """After a failover that lost events the cursor is not believed."""
    answer = await page(world)
    feed_id, _, _ = answer["cursor"].rpartition(":")
    assert code(await get(world, f"{feed_id}:99999")) == "410 feed_lost"


async def test_long_poll(world: World) -> None:
    """It waits for news, has them as soon as they are there, and ends empty when there are none."""
    start = await page(world)
    waiting = asyncio.create_task(page(world, start["cursor"], 5.0))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    made = await world.login()
    await world.auth.revoke(made.session.id)
    assert kinds(await waiting) == ["session_revoked"]
    assert kinds(await page(world, start["cursor"], 5.0)) == ["session_revoked"]
    empty = await page(world, (await waiting)["cursor"], 0.05)
    assert empty["events"] == []


async def test_an_answer_is_of_a_read_that_began_later(quiet: World) -> None:
    """A read under way when the request comes in does not answer it, whatever it saw."""
    start = await page(quiet)
    made = await quiet.login()
    held = quiet.store.hold_after("events")
    first = asyncio.create_task(page(quiet, start["cursor"]))
    await held.reached()  # it has its answer, in which there is nothing
    await quiet.store.revoke(made.session.id, now=quiet.auth.clock.now())
    second = asyncio.create_task(page(quiet, start["cursor"]))
    await asyncio.sleep(0.02)
    assert not second.done()
    held.open()
    assert kinds(await first) == []
    assert kinds(await second) == ["session_revoked"]


async def test_who_waits_was_told_of_everything_before(quiet: World) -> None:
    """An event that was there before the request came in is not missed because others wait already."""
    start = await page(quiet)
    made = await quiet.login()
    others = [asyncio.create_task(page(quiet, start["cursor"], 5.0)) for _ in range(3)]
    before = quiet.store.calls["events"]
    await until(lambda: quiet.store.calls["events"] >= before + 2)
    await quiet.store.announce_keys(now=quiet.auth.clock.now())
    await asyncio.gather(*others)
    await quiet.store.revoke(made.session.id, now=quiet.auth.clock.now())
    assert kinds(await page(quiet, start["cursor"])) == ["keys_changed", "session_revoked"]


async def test_followers_share_reads(quiet: World) -> None:
    """Any number that wait cost one read, and one more when there is something to tell; each is told once."""
    start = await page(quiet)
    made = await quiet.login()
    before = quiet.store.calls["events"]
    waiting = [asyncio.create_task(page(quiet, start["cursor"], 5.0)) for _ in range(100)]
    await asyncio.sleep(0.3)
    assert not any(one.done() for one in waiting)
    await quiet.store.revoke(made.session.id, now=quiet.auth.clock.now())
    answers = await asyncio.gather(*waiting)
    assert {tuple(kinds(answer)) for answer in answers} == {("session_revoked",)}
    assert len({answer["cursor"] for answer in answers}) == 1
    assert quiet.store.calls["events"] - before < 10


async def test_whole_reads_are_shared(quiet: World) -> None:
    """A fleet that starts at once does not read the whole feed as often."""
    await page(quiet)
    before = quiet.store.calls["events"]
    await asyncio.gather(*(page(quiet) for _ in range(50)))
    assert quiet.store.calls["events"] - before < 10


async def test_behind_the_ring(quiet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower that is further behind than memory goes is answered by the store, and led back."""
    monkeypatch.setattr(feed, "RING_EVENTS", 2)
    start = await page(quiet)
    cursors = [start["cursor"]]
    for _ in range(6):
        await quiet.store.announce_keys(now=quiet.auth.clock.now())
        cursors.append((await page(quiet, cursors[-1]))["cursor"])
    for behind, cursor in enumerate(reversed(cursors)):
        answer = await page(quiet, cursor)
        assert len(answer["events"]) == behind
        before = quiet.store.calls["events"]
        assert (await page(quiet, answer["cursor"]))["events"] == []
        assert quiet.store.calls["events"] == before + 1, "from the ring, after the one shared read"


async def test_cursors_of_another_process(quiet: World) -> None:
    """Several workers answer for each other, also while one waits."""
    other = World(
        auth=quiet.auth, app=auth_app(quiet.auth, service_keys=[SERVICE_KEY]), account=quiet.account,
        contract=quiet.contract, root="",
    )  # fmt: skip
    await page(other)
    cursor = (await page(quiet))["cursor"]
    for number in range(1, 4):
        waiting = asyncio.create_task(page(other if number % 2 else quiet, cursor, 5.0))
        await asyncio.sleep(0.02)
        await quiet.store.announce_keys(now=quiet.auth.clock.now())
        answer = await waiting
        assert kinds(answer) == ["keys_changed"]
        cursor = answer["cursor"]


class Restless(MemoryStore):
    """Every read has another cursor, with and without events, as where a cursor is a snapshot."""

    _reads = 0

    async def events(self, cursor: str | None, *, wait: float) -> FeedRead:
        read = await super().events(cursor and cursor.partition("#")[0], wait=wait)
        self._reads += 1
        return replace(read, cursor=f"{read.cursor}#{self._reads}")


@pytest.fixture
async def restless() -> AsyncIterator[World]:
    async with running(GatedStore(Restless())) as world:
        await world.auth.follower.stop()
        yield world


async def test_restless_cursors_wake_nobody(restless: World) -> None:
    """Who waits is not answered because others ask, but when there is an event."""
    start = await page(restless)
    waiting = asyncio.create_task(page(restless, start["cursor"], 5.0))
    for _ in range(20):
        assert (await page(restless, start["cursor"]))["events"] == []
    assert not waiting.done()
    await restless.store.announce_keys(now=restless.auth.clock.now())
    assert kinds(await waiting) == ["keys_changed"]


async def test_restless_cursors_lead_to_the_ring(restless: World) -> None:
    """Who comes from another process reads for itself once, and from then on with everybody."""
    await page(restless)
    foreign = (await restless.store.events(None, wait=0)).cursor
    await restless.store.announce_keys(now=restless.auth.clock.now())
    first = await page(restless, foreign)
    assert kinds(first) == ["keys_changed"]
    before = restless.store.calls["events"]
    await page(restless, first["cursor"])
    assert restless.store.calls["events"] == before + 1


async def test_many_restless_cursors(restless: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory holds a bounded number of them; an older one still tells everything, from the store."""
    monkeypatch.setattr(feed, "_CURSORS", 3)
    start = await page(restless)
    await restless.store.announce_keys(now=restless.auth.clock.now())
    cursor = start["cursor"]
    for _ in range(10):
        cursor = (await page(restless, cursor))["cursor"]
    assert kinds(await page(restless, start["cursor"])) == ["keys_changed"]


async def test_pages_of_a_long_feed(quiet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """``more`` says so, from the store and from the ring; each event comes once."""
    monkeypatch.setattr(feed, "FEED_PAGE", 3)
    monkeypatch.setattr(memory_feed, "FEED_PAGE", 3)
    start = await page(quiet)
    for token in range(10):
        await quiet.store.revoke_token("s", str(token), now=quiet.auth.clock.now())
    for _ in range(2):
        cursor, told, more = start["cursor"], [], True
        while more:
            answer = await page(quiet, cursor)
            cursor, more = answer["cursor"], answer["more"]
            assert len(answer["events"]) <= 3
            told += [event["token_id"] for event in answer["events"]]
        assert told == [str(token) for token in range(10)]
    whole = await page(quiet)
    assert whole["more"]


async def test_lost_while_waiting(quiet: World) -> None:
    """When the feed is another one than before, those who wait hear of it."""
    start = await page(quiet)
    waiting = asyncio.create_task(get(quiet, start["cursor"], 5.0))
    await asyncio.sleep(0.05)
    quiet.store._store._feed = MemoryStore()._feed
    await asyncio.sleep(0.05)
    assert code(await get(quiet, start["cursor"])) == "410 feed_lost"
    assert code(await waiting) == "410 feed_lost"
    assert (await page(quiet))["feed"] != start["feed"]


async def test_a_store_that_is_silent(quiet: World) -> None:
    """503 for whom no read could be begun; when it is back, everything is there."""
    start = await page(quiet)
    quiet.store.fail("events")
    for cursor in (start["cursor"], None):
        response = await get(quiet, cursor, 5.0)
        assert code(response) == "503 unavailable"
        assert response.headers["retry-after"]
    quiet.store.fail()
    await quiet.store.announce_keys(now=quiet.auth.clock.now())
    assert kinds(await page(quiet, start["cursor"])) == ["keys_changed"]


async def test_a_store_that_fails_while_one_waits(quiet: World) -> None:
    """Who waits goes on waiting: what was proved before is as true as ever."""
    start = await page(quiet)
    before = quiet.store.calls["events"]
    waiting = asyncio.create_task(page(quiet, start["cursor"], 5.0))
    await until(lambda: quiet.store.calls["events"] >= before + 2)
    watching = quiet.store.calls["events"]
    quiet.store.fail("events")
    await until(lambda: quiet.store.calls["events"] > watching)
    quiet.store.fail()
    await quiet.store.announce_keys(now=quiet.auth.clock.now())
    assert kinds(await waiting) == ["keys_changed"]


async def test_too_many(quiet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound: 503 with Retry-After; a place that is free again is given again."""
    monkeypatch.setattr(feed, "MAX_FOLLOWERS", 2)
    start = await page(quiet)
    waiting = [asyncio.create_task(page(quiet, start["cursor"], 5.0)) for _ in range(2)]
    await asyncio.sleep(0.05)
    response = await get(quiet, start["cursor"])
    assert code(response) == "503 too_many_followers"
    assert response.headers["retry-after"] == "1"
    await quiet.store.announce_keys(now=quiet.auth.clock.now())
    await asyncio.gather(*waiting)
    await page(quiet, start["cursor"])


async def test_a_client_that_goes_away(quiet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It frees its place at once, not when its wait would have been over."""
    monkeypatch.setattr(feed, "MAX_FOLLOWERS", 1)
    start = await page(quiet)
    gone, said = asyncio.Event(), []
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        for message in messages:
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    scope = {
        "type": "http", "method": "GET", "scheme": "https", "path": "/auth/events", "raw_path": b"/auth/events",
        "query_string": f"cursor={start['cursor']}&wait=5".encode(), "http_version": "1.1", "root_path": "",
        "server": ("auth.test", 443), "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"auth.test"), (b"authorization", KEY["Authorization"].encode())],
    }  # fmt: skip
    waiting = asyncio.create_task(quiet.app(scope, receive, send))
    await asyncio.sleep(0.05)
    assert code(await get(quiet, start["cursor"])) == "503 too_many_followers"
    gone.set()
    await waiting
    assert said[0]["status"] == 400, "nobody is there to read it; whose wait is over gets 200"
    await page(quiet, start["cursor"])


async def test_closing_answers_who_waits(tmp_path: Any) -> None:
    """When the application ends, a follower that waits still gets its answer: what was proved stays true."""
    async with running(f"sqlite:///{tmp_path / 'app.db'}") as world:
        start = await page(world)
        waiting = asyncio.create_task(get(world, start["cursor"], 0.5))
        await asyncio.sleep(0.1)
    assert (await waiting).status_code == 200
    assert code(await get(world, start["cursor"])) == "503 unavailable"


async def test_a_shared_run_begins_after_it_was_asked_for() -> None:
    """Who comes during a run shares the next one with everybody else who did."""
    began, gates = [], [asyncio.Event() for _ in range(2)]

    async def run() -> int:
        number = len(began)
        began.append(number)
        await gates[number].wait()
        return number

    shared = Shared(run)
    first = asyncio.create_task(shared())
    await until(lambda: began == [0])
    others = [asyncio.create_task(shared()) for _ in range(5)]
    await asyncio.sleep(0)
    others[0].cancel()
    gates[0].set()
    gates[1].set()
    assert await first == 0
    assert await asyncio.gather(*others[1:]) == [1] * 4
    assert began == [0, 1]


async def test_nonces(world: World) -> None:
    """Each answer to a service repeats the nonce of its question; one that is no nonce is refused."""
    async with world.client(browser=False) as client:
        for path in ("/events", "/.well-known/jwks.json"):
            response = await client.get(path, params={"nonce": "a-Nonce_1"}, headers=KEY)
            assert response.headers["coatcheck-nonce"] == "a-Nonce_1"
            assert "coatcheck-nonce" not in (await client.get(path, headers=KEY)).headers
            for bad in ("", "a b", "a\n", "\r\nx: y", "a" * 65):
                assert (await client.get(path, params={"nonce": bad}, headers=KEY)).status_code == 422
        response = await client.post("/introspect", params={"nonce": "a"}, data={"token": "t"}, headers=KEY)
        assert response.headers["coatcheck-nonce"] == "a"
        response = await client.get("/.well-known/jwks.json", params={"nonce": "a"})
        assert "coatcheck-nonce" not in response.headers


async def test_keys_of_now_for_services(quiet: World) -> None:
    """With a service key the key set is read from the store and kept by no cache; without, or with another, as ever."""
    (key,) = await quiet.store.keys()
    async with quiet.client(browser=False) as client:
        for headers in ({}, {"Authorization": "Bearer other"}):
            calls = quiet.store.calls["keys"]
            response = await client.get("/.well-known/jwks.json", headers=headers)
            assert response.headers["cache-control"] == "public, max-age=300"
            assert quiet.store.calls["keys"] == calls
        await quiet.store.delete_key(key.kid)
        response = await client.get("/.well-known/jwks.json", headers=KEY)
        assert response.headers["cache-control"] == "no-store"
        assert response.json()["keys"] == []
