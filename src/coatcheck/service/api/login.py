"""Getting in and out: register, login, refresh, logout."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ...adapters.asgi import arrival_of, check_origin
from ...adapters.lifespans import auth_of
from ...adapters.problems import problem_of
from ...credentials.csrf import Provenance
from ...errors import InvalidCredential, MalformedCredential, NotFound, StepRequired
from ...model import LOGOUT_KINDS, Mode
from ...web import delivery
from ...web.access import from_our_pages, require_identity
from ...web.answers import LoginAnswer, StepAnswer
from ...web.bodies import (
    FORM,
    LoginBody,
    NoBody,
    RefreshBody,
    content_type,
    read_form,
    read_json,
)
from ...web.contract import COOKIE_OR_BEARER, described
from ...web.logins import chosen_mode, email_of, is_form_of_a_browser, is_form_of_ours, log_in, login_response
from ...web.problems import problem_response
from ...web.refusals import invalid_request, not_logged_in
from ...web.replaced import sessions_named
from .steps import step_answer

_BODY = (400, 403, 413, 415, 422)

names = APIRouter()
"""Routes that need subjects who can log in by name and password."""
routes = APIRouter()


@names.post(
    "/login",
    **described({200: LoginAnswer, 202: StepAnswer}, problems=(*_BODY, 401, 429), json=LoginBody),
)
async def login(request: Request) -> Response:
    """Log in with e-mail address and password. Forms of the service's pages get pages back.

    Where the application keeps its own users, `email` is whatever they log in with."""
    auth, arrival = auth_of(request), arrival_of(request.scope)
    if is_form_of_ours(request):
        from ..pages import forms

        return await forms.login(request)
    body = await read_json(request, LoginBody)
    from_our_pages(auth, request, Mode(body.mode or auth.policy.modes[0]))
    mode = chosen_mode(auth, arrival, body.mode)
    proved = await auth.authenticate(body.email, body.password, ip=arrival.client(auth.policy.trusted_proxies))
    try:
        credentials = await log_in(
            auth, arrival, proved.subject, mode=mode, epoch=proved.epoch, remember=body.remember, label=body.device
        )
    except StepRequired as more:
        return step_answer(request, more, mode)
    return login_response(request, credentials, proved.email or None)


@routes.post(
    "/refresh",
    **described(
        {200: LoginAnswer},
        problems=(*_BODY, 401),
        security=[{"refreshCookie": []}, {}],
        json=RefreshBody,
        form={"refresh_token": False},
        optional=True,
    ),
)
async def refresh(request: Request) -> Response:
    """Exchange a refresh token, from the body or the refresh cookie, for its successor and a new access token."""
    auth = auth_of(request)
    token = await _refresh_token(request)
    if token is not None:
        from_our_pages(auth, request)
        credentials = await auth.issuer.refresh(token, mode=Mode.JWT)
        return login_response(request, credentials, await email_of(auth, credentials.session.subject))
    arrival = arrival_of(request.scope)
    try:
        token = arrival.refresh_token()
        if token is None:
            from_our_pages(auth, request)
            raise not_logged_in()
        check_origin(auth, arrival, auth.issuer.session_of(token))
        delivery.require_cookies(arrival, Mode.JWT_COOKIE)
        credentials = await auth.issuer.refresh(token, mode=Mode.JWT_COOKIE)
    except InvalidCredential as error:
        # The cookie will never be any good again.
        return delivery.with_cookies(problem_response(problem_of(error)), delivery.forget_tokens(request.scope))
    return login_response(request, credentials, await email_of(auth, credentials.session.subject), renewed=True)


@routes.post(
    "/logout",
    **described(
        {204: "The session has ended, or there was none."},
        problems=_BODY,
        security=[*COOKIE_OR_BEARER, {}],
        json=NoBody,
        optional=True,
    ),
)
async def logout(request: Request) -> Response:
    """End the session of whatever credential is presented, even an access token that has expired. A form, also one in
    a page of the application's own, leads on to its `next` or to the application."""
    auth = auth_of(request)
    if is_form_of_a_browser(request):
        from ..pages import forms

        return await forms.logout(request)
    arrival = arrival_of(request.scope)
    ending = sessions_named(auth, arrival.everything())
    for session_id in sessions_named(auth, arrival.held()):
        check_origin(auth, arrival, session_id)
    if not ending:
        from_our_pages(auth, request)
    await read_json(request, NoBody, optional=True)
    for session_id in ending:
        await auth.revoke(session_id)
    return _gone(request)


@routes.post(
    "/logout/others",
    **described(
        {204: "All other sessions have ended."},
        problems=(*_BODY, 401),
        security=COOKIE_OR_BEARER,
        json=NoBody,
        optional=True,
    ),
)
async def logout_others(request: Request) -> Response:
    """End all sessions of the subject but this one. A form leads on, as that of `/logout` does."""
    if is_form_of_a_browser(request):
        from ..pages import forms

        return await forms.logout_others(request)
    auth, identity = await require_identity(request)
    await read_json(request, NoBody, optional=True)
    try:
        await auth.revoke_subject(identity.subject, kinds=LOGOUT_KINDS, excepted=identity.session_id)
    except NotFound as error:
        raise MalformedCredential("the session ended meanwhile") from error
    return Response(status_code=204)


@routes.post(
    "/logout/everywhere",
    **described(
        {204: "All sessions have ended."}, problems=(*_BODY, 401), security=COOKIE_OR_BEARER, json=NoBody, optional=True
    ),
)
async def logout_everywhere(request: Request) -> Response:
    """End all sessions of the subject, this one too. A form leads on, as that of `/logout` does."""
    if is_form_of_a_browser(request):
        from ..pages import forms

        return await forms.logout_everywhere(request)
    auth, identity = await require_identity(request)
    await read_json(request, NoBody, optional=True)
    await auth.revoke_subject(identity.subject, kinds=LOGOUT_KINDS)
    return _gone(request)


def _gone(request: Request) -> Response:
    """No browser is made to forget by a page of another site: a program has come from there, without cookies."""
    response = Response(status_code=204)
    if arrival_of(request.scope).provenance(auth_of(request).policy.origins) is Provenance.FOREIGN:
        return response
    return delivery.with_cookies(response, delivery.forget(request.scope))


async def _refresh_token(request: Request) -> str | None:
    if content_type(request) != FORM:
        return (await read_json(request, RefreshBody, optional=True)).refresh_token
    fields = await read_form(request)
    if fields.keys() - {"refresh_token"}:
        raise invalid_request("The form may hold refresh_token and nothing else.")
    return fields.get("refresh_token")
