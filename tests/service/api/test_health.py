"""GET /healthz, /readyz and /metrics."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from coatcheck import Mode
from coatcheck.service.app import alone, auth_app
from tests.service.api.world import BASE, OWN, SERVICE_KEY, World, carried, code

KEYED = {"Authorization": f"Bearer {SERVICE_KEY}"}


async def numbers(world: World) -> dict[tuple[str, str], float]:
    async with world.client() as client:
        response = await client.get("/metrics", headers=KEYED)
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            found[sample.name, " ".join(sample.labels.values())] = sample.value
    return found


async def test_health(world: World) -> None:
    """Alive and ready."""
    async with world.client() as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).json() == {"status": "ready", "writes": True}


@pytest.mark.parametrize("fault", ["time", "keys"])
async def test_not_ready_without_a_store(gated: World, fault: str) -> None:
    """When a store does not answer it is not ready, but alive."""
    gated.store.fail(fault)
    async with gated.client() as client:
        assert code(await client.get("/readyz")) == "503 unavailable"
        assert (await client.get("/healthz")).status_code == 200


async def test_not_ready_without_a_lease(gated: World) -> None:
    """When the feed is not followed it is not ready, even while the stores answer."""
    await gated.auth.follower.stop()
    async with gated.client() as client:
        assert code(await client.get("/readyz")) == "503 unavailable"


async def test_metrics(world: World) -> None:
    """Answers by route and status, the table and the lease; nothing of any subject."""
    credentials = await world.login(Mode.JWT)
    async with world.client() as client:
        await client.get("/session", headers=carried(credentials))
        await client.get("/session")
        await client.get("/session", headers={"authorization": "Bearer nonsense"})
        await client.get(f"/sessions/{'A' * 24}")
        await client.get("/nowhere/at/all")
        text = (await client.get("/metrics", headers=KEYED)).text
    found = await numbers(world)
    assert found["coatcheck_http_answers_total", "GET /session 200"] == 1
    assert found["coatcheck_http_answers_total", "GET /session 401"] == 2
    assert found["coatcheck_events_total", "credential.refused"] == 1
    assert found["coatcheck_http_answers_total", "GET /sessions/{id} 405"] == 1
    assert found["coatcheck_http_answers_total", "GET  404"] == 1
    assert found["coatcheck_writes_taken", ""] == 1
    assert found["coatcheck_table_entries", ""] == 1
    assert found["coatcheck_table_bytes", ""] > 1000
    assert 0 < found["coatcheck_lease_remaining_seconds", ""] <= 2
    for secret in (world.account.id, world.account.email, credentials.session.id):
        assert secret not in text


async def test_made_up_methods_make_no_series(world: World) -> None:
    """However many methods and paths a client makes up, the number of series does not grow with them."""
    async with world.client() as client:
        for number in range(20):
            await client.request(f"MADEUP{number}", "/session")
            await client.get(f"/{number}")
    found = await numbers(world)
    assert len([key for key in found if key[0] == "coatcheck_http_answers_total"]) <= 4


async def test_metrics_need_a_key(world: World) -> None:
    """What is mounted is mostly open to the world, so its numbers are for whoever has a service key."""
    credentials = await world.login(Mode.JWT)
    async with world.client() as client:
        assert code(await client.get("/metrics")) == "401 invalid_service_key"
        for wrong in (carried(credentials), {"Authorization": "Bearer nonsense"}):
            assert code(await client.get("/metrics", headers=wrong)) == "401 invalid_service_key"
        assert (await client.get("/metrics", headers=KEYED)).status_code == 200


async def test_metrics_without_keys(world: World) -> None:
    """Where there are no service keys nothing shows the numbers below a prefix that proxies pass on; the service alone
    has them at the root."""
    host = FastAPI()
    host.mount("/auth", auth_app(world.auth))
    for app, root in ((host, 404), (alone(world.auth), 200)):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE, headers=OWN) as client:
            assert (await client.get("/auth/metrics")).status_code == 404
            assert (await client.get("/metrics")).status_code == root
