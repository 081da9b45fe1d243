"""For whoever runs the service: alive, ready, numbers."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ...adapters.lifespans import auth_of
from ...errors import StoreUnavailable
from ...web.access import ServiceKeys
from ...web.answers import Health, Readiness
from ...web.bodies import answer_json
from ...web.contract import NOBODY, SERVICE_KEY, described
from ...web.metrics import CONTENT_TYPE, Metrics

_PATIENCE: Final = 2.0
"""Seconds a store may take to say that it is there."""


def router(metrics: Metrics, service_keys: ServiceKeys | None) -> APIRouter:
    """The routes; ``metrics`` are what is told. With ``service_keys`` they need one of these, and are off
    where there is none: what is mounted is mostly open to the world."""
    routes = APIRouter()

    @routes.get("/healthz", **described({200: Health}))
    async def healthz(request: Request) -> Response:
        """The process runs and answers."""
        return answer_json(Health(status="ok"))

    @routes.get("/readyz", **described({200: Readiness}))
    async def readyz(request: Request) -> Response:
        """The stores answer and the lease runs: what is presented is verified. And whether logins can be written."""
        auth = auth_of(request)
        if not auth.is_running:
            raise StoreUnavailable("not started")
        try:
            async with asyncio.timeout(_PATIENCE):
                await auth.sessions.time()
                await auth.keys.list()
                writes = await auth.writes.look()
        except TimeoutError as error:
            raise StoreUnavailable("a store does not answer in time") from error
        if not auth.follower.is_live():
            raise StoreUnavailable("the lease does not run")
        return answer_json(Readiness(status="ready", writes=writes))

    if service_keys is not None and not service_keys:
        return routes
    problems, security = ((), NOBODY) if service_keys is None else ((401,), SERVICE_KEY)

    @routes.get("/metrics", **described({200: PlainTextResponse}, problems=problems, security=security))
    async def prometheus(request: Request) -> Response:
        """The numbers of the service."""
        if service_keys is not None:
            service_keys.require(request)
        return Response(await metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return routes
