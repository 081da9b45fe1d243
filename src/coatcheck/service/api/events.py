"""The feed for remote verifiers, by long poll."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ...auth import Auth
from ...feed_json import MAX_CURSOR
from ...stores.base import FeedLost
from ...web.access import ServiceKeys
from ...web.answers import FeedPage
from ...web.bodies import JSON
from ...web.contract import SERVICE_KEY, described
from ...web.nonces import Nonce, repeated
from ...web.refusals import FEED_LOST, Refusal
from ..feed import Relay

MAX_WAIT: Final = 5.0
"""Seconds a request may wait for news. Well within what a service that ends gives to requests under way, so that every
follower is answered."""

Cursor = Annotated[str | None, Query(min_length=1, max_length=MAX_CURSOR)]
Wait = Annotated[float, Query(ge=0, le=MAX_WAIT, allow_inf_nan=False)]


def router(auth: Auth, service_keys: ServiceKeys) -> APIRouter:
    """The route, with a relay of its own."""
    routes = APIRouter()
    relay = Relay(auth)

    @routes.get("/events", **described({200: FeedPage}, problems=(400, 401, 410, 422), security=SERVICE_KEY))
    async def events(request: Request, cursor: Cursor = None, wait: Wait = 0.0, nonce: Nonce = None) -> Response:
        """The events after the cursor; without one, all that are kept. With nothing to tell, waits for news."""
        service_keys.require(request)
        try:
            body = await _unless_gone(request, relay, cursor, wait)
        except FeedLost as error:
            raise Refusal(FEED_LOST) from error
        return Response(body, media_type=JSON, headers=repeated(nonce))

    return routes


async def _unless_gone(request: Request, relay: Relay, cursor: str | None, wait: float) -> bytes:
    """The relay's answer. A client that goes away frees its place at once."""
    reading = asyncio.create_task(relay.read(cursor, wait))
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait((reading, leaving), return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            return reading.result()
        raise ClientDisconnect
    finally:
        for task in (reading, leaving):
            task.cancel()
        await asyncio.gather(reading, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
