"""POST /register."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ...adapters.asgi import arrival_of
from ...adapters.lifespans import auth_of
from ...model import Mode
from ...web.access import from_our_pages
from ...web.answers import LoginAnswer, Registered, SubjectView
from ...web.bodies import RegisterBody, answer_json, read_json
from ...web.contract import described
from ...web.logins import chosen_mode, log_in, login_response
from . import rules

routes = APIRouter()


@routes.post(
    "/register",
    **described({201: Registered | LoginAnswer}, problems=(400, 401, 403, 409, 413, 415, 422, 429), json=RegisterBody),
)
async def register(request: Request) -> Response:
    """Make an account, and log in at once when a mode is named. Where registration is by invitation, only with one."""
    auth, arrival = auth_of(request), arrival_of(request.scope)
    body = await read_json(request, RegisterBody)
    from_our_pages(auth, request, Mode(body.mode or Mode.JWT))
    mode = None if body.mode is None else chosen_mode(auth, arrival, body.mode)
    account = await rules.register(
        auth, body.email, body.password, invitation=body.invitation, ip=arrival.client(auth.policy.trusted_proxies)
    )  # fmt: skip
    if mode is None:
        subject = SubjectView(id=account.id, email=account.email, roles=sorted(account.roles))
        return answer_json(Registered(subject=subject), 201)
    credentials = await log_in(auth, arrival, account.id, mode=mode, epoch=None)
    return login_response(request, credentials, account.email, 201)
