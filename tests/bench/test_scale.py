"""Memory and cost against size: what can be counted, so that a busy machine changes nothing. The long runs are
bench/scale.py, bench/feed.py and bench/capacity.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from bench import feed, scale
from bench.scaling.deployments import STORES, Deployment, deployment, opened
from bench.scaling.load import load_events, load_sessions, others, session_of
from bench.scaling.model import Habits, reads_per_second
from bench.scaling.simulation import Setting, Simulation
from coatcheck.model import EventKind
from coatcheck.testing.store_contract.support import here

A_MILLION = 100_000_000
"""Bytes that a million revoked sessions may take."""


def test_revoked_sessions_take_little_memory() -> None:
    """The view holds 250,000 revoked sessions in a quarter of what a million may take, as Python counts its memory.
    More of them take less each: bench/feed.py measures the million."""
    assert feed.measure_memory("view: revoked session", 250_000, traced=True) < A_MILLION / 4


@pytest.mark.parametrize("kind", [EventKind.SUBJECT_CUT_OFF, EventKind.SUBJECT_CHANGED, EventKind.SESSION_CHANGED])
def test_every_other_entry(kind: EventKind) -> None:
    """An epoch or version floor takes less than 300 bytes."""
    name = {EventKind.SUBJECT_CUT_OFF: "view: subject cut off", EventKind.SUBJECT_CHANGED: "view: subject changed",
            EventKind.SESSION_CHANGED: "view: session changed"}[kind]  # fmt: skip
    assert feed.measure_memory(name, 50_000, traced=True) < 300 * 50_000


@pytest.mark.parametrize("name", STORES)
def test_cost_does_not_grow(name: str, tmp_path: Path) -> None:
    """Twenty times as many sessions of others cost an operation at most the deeper trees of the indexes."""

    async def run(target: Deployment) -> None:
        async with opened(target) as store:
            await load_sessions(store, others(0, 200, await store.time()), target.url)
            scale.settle(target)
            before = await scale.measure(target, store, 200)
            await load_sessions(store, others(200, 3_800, await store.time()), target.url)
            scale.settle(target)
            after = await scale.measure(target, store, 4_000)
        for operation, cost in after.items():
            assert cost["units"] <= 1.5 * before[operation]["units"] + 4, operation

    with deployment(name, folder=tmp_path) as target:
        asyncio.run(run(target))


@pytest.mark.parametrize("name", STORES)
def test_one_subject_with_very_many(name: str, tmp_path: Path) -> None:
    """A logout everywhere costs as much for ten sessions as for a thousand, and the oldest end at the limit."""

    async def run(target: Deployment) -> None:
        async with opened(target) as store:
            few = await scale.one_subject(target, store, 10, subject="few")
            many = await scale.one_subject(target, store, 1_000, subject="many")
        assert many["revoke_subject"]["units"] <= 1.5 * few["revoke_subject"]["units"] + 4

    with deployment(name, folder=tmp_path) as target:
        asyncio.run(run(target))


@pytest.mark.parametrize("name", STORES)
def test_what_is_loaded_is_what_a_login_makes(name: str, tmp_path: Path) -> None:
    """The fast loader writes what `create` and `revoke` write."""

    async def run(target: Deployment) -> None:
        async with opened(target) as store:
            now = await store.time()
            sessions = [session_of("ann", now - number) for number in range(3)]
            loaded = [session_of("ben", now - number) for number in range(3)]
            for session in sessions:
                await store.create(session, now=now)
            await load_sessions(store, iter(loaded), target.url)
            for session in (*sessions, *loaded):
                found = await store.find(session.id, now=now)
                assert found is not None
                assert found.session == session
            page = await store.sessions_of("ben", now=now)
            assert [session.id for session in page.sessions] == [session.id for session in loaded]
            if name == "redis":
                assert _kinds(target, "ann", sessions[0].id) == _kinds(target, "ben", loaded[0].id)
            start = await here(store)
            await load_events(store, 2, now, target.url)
            await store.revoke(loaded[0].id, now=now)
            events = (await store.events(start, wait=0)).events
            assert [event.kind for event in events] == [EventKind.SESSION_REVOKED] * 3
            assert all(event.subject and event.session_id for event in events)

    with deployment(name, folder=tmp_path) as target:
        asyncio.run(run(target))


def _kinds(target: Deployment, subject: str, session_id: str) -> set[tuple[Any, ...]]:
    """Type, encoding and, to the minute, the rest of the life of every key of this subject."""
    with Redis.from_url(target.url, decode_responses=True) as client:
        keys = [key for key in client.scan_iter() if subject in key or session_id in key]
        return {(client.type(key), client.object("encoding", key), client.pttl(key) // 60_000) for key in keys}


@pytest.mark.parametrize("rate", [0.0, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("reads_at_end", [False, True])
def test_model_agrees_with_simulation(rate: float, reads_at_end: bool) -> None:
    """The formula for a follower's reads and the simulated fleet differ by less than a tenth."""
    setting = Setting(followers=20, read=50e-6, client=300e-6, rate=rate, reads_at_end=reads_at_end, seconds=60)
    outcome = Simulation(setting).run()
    predicted = reads_per_second(rate, setting.read + setting.client + 2 * setting.latency, reads_at_end)
    assert outcome.reads / outcome.seconds / setting.followers == pytest.approx(predicted, rel=0.1)


def test_last_follower_waits_for_all_others() -> None:
    """An event wakes everyone at once: the last is answered when the store has answered all the others."""
    setting = Setting(followers=1_000, read=100e-6, client=0.0, rate=1.0, seconds=20)
    outcome = Simulation(setting).run()
    assert outcome.percentile(1.0) == pytest.approx(setting.followers * setting.read, rel=0.2)


def test_store_that_is_asked_too_much() -> None:
    """With more followers than a store can answer, reads take longer and longer: that is when leases lapse."""
    setting = Setting(followers=30_000, read=100e-6, client=0.0, rate=0.0, seconds=6)
    outcome = Simulation(setting).run()
    assert outcome.busy == pytest.approx(outcome.seconds, rel=0.05)
    assert outcome.oldest_lease > 2.0


def test_habits() -> None:
    """The assumed rates come to 1.2 events a second for a million sessions."""
    assert Habits().events * 1e6 == pytest.approx(1.24, rel=0.01)
