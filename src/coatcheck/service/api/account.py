"""Oneself: proving again who one is, and changing the password. For subjects whose password hashes Coatcheck knows."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ...adapters.asgi import arrival_of
from ...errors import RevokedCredential, StepRequired
from ...web.access import require_identity
from ...web.answers import LoginAnswer, StepAnswer
from ...web.bodies import ChangePasswordBody, PasswordBody, read_json
from ...web.contract import COOKIE_OR_BEARER, described
from ...web.logins import chosen_mode, email_of, is_form_of_ours, login_response
from .steps import step_answer

routes = APIRouter()


@routes.post(
    "/reauthenticate",
    **described(
        {200: LoginAnswer, 202: StepAnswer},
        problems=(400, 401, 403, 413, 415, 422, 429),
        security=COOKIE_OR_BEARER,
        json=PasswordBody,
    ),
)
async def reauthenticate(request: Request) -> Response:
    """A new session in the place of the present one, with a fresh ``auth_time``. The old credentials end.

    Forms of the service's pages get pages back."""
    if is_form_of_ours(request):
        from ..pages import again

        return await again.reauthenticate(request)
    auth, identity = await require_identity(request)
    body = await read_json(request, PasswordBody)
    arrival = arrival_of(request.scope)
    chosen_mode(auth, arrival, identity.mode.value)
    proved = await auth.logins.check_password(
        identity.subject, body.password, ip=arrival.client(auth.policy.trusted_proxies)
    )
    try:
        await auth.attempts.check(
            identity.subject,
            epoch=proved.epoch,
            amr=proved.amr,
            at=None,
            mode=identity.mode,
            renews=identity.session_id,
        )
    except StepRequired as more:
        return step_answer(request, more, identity.mode)
    credentials = await auth.issuer.reauthenticate(identity.session_id, epoch=proved.epoch)
    return login_response(request, credentials, proved.email or None, renewed=True)


@routes.post(
    "/password",
    **described(
        {200: LoginAnswer},
        problems=(400, 401, 403, 409, 413, 415, 422, 429),
        security=COOKIE_OR_BEARER,
        json=ChangePasswordBody,
    ),
)
async def change_password(request: Request) -> Response:
    """Change the password. All sessions end; a new one takes the place of the present one, as in `/reauthenticate`."""
    auth, identity = await require_identity(request)
    body = await read_json(request, ChangePasswordBody)
    arrival = arrival_of(request.scope)
    chosen_mode(auth, arrival, identity.mode.value)
    credentials = await auth.logins.change_password(
        identity.subject,
        body.current_password,
        body.new_password,
        keep=identity.session_id,
        ip=arrival.client(auth.policy.trusted_proxies),
    )
    if credentials is None:
        raise RevokedCredential("the session ended while the password was changed")
    return login_response(request, credentials, await email_of(auth, identity.subject), renewed=True)
