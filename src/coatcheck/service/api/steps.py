"""A login in steps: what is answered where more is required, and going on."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ...adapters.asgi import arrival_of, check_origin
from ...adapters.lifespans import auth_of
from ...adapters.problems import problem_of
from ...errors import AttemptOver, StepRequired
from ...model import Mode
from ...web import delivery
from ...web.access import from_our_pages
from ...web.answers import LoginAnswer, StepAnswer
from ...web.bodies import StepBody, answer_json, read_json
from ...web.contract import NOBODY, described
from ...web.logins import chosen_mode, email_of, finish, is_form_of_ours, login_response
from ...web.problems import problem_response
from ...web.refusals import invalid_request

routes = APIRouter()


def step_answer(request: Request, more: StepRequired, mode: Mode) -> Response:
    """202: nobody is logged in yet. The attempt is in the body in mode ``jwt``, elsewhere in a cookie."""
    answer = StepAnswer(status="step_required", methods=list(more.methods), expires_in=more.expires_in)
    if mode is Mode.JWT:
        answer.attempt = more.attempt
    cookies = delivery.attempt_cookie(request.scope, mode, more.attempt, more.expires_in)
    return delivery.with_cookies(answer_json(answer, 202), cookies)


@routes.post(
    "/login/step",
    **described(
        {200: LoginAnswer},
        problems=(400, 401, 403, 413, 415, 422, 429),
        security=[{"attemptCookie": []}, *NOBODY, {}],
        json=StepBody,
    ),
)
async def step(request: Request) -> Response:
    """Go on with a login for which more is required: one of `methods`, and the answer to it.

    Forms of the service's pages get pages back."""

    if is_form_of_ours(request):
        from ..pages import steps

        return await steps.go_on(request)
    auth, arrival = auth_of(request), arrival_of(request.scope)
    body = await read_json(request, StepBody)
    if bool(body.code) == bool(body.credential):
        raise invalid_request("One of code and credential is needed.")
    if body.attempt is None:
        check_origin(auth, arrival, None)
    attempt = arrival.attempt() if body.attempt is None else body.attempt
    try:
        mode = auth.attempts.mode_of(attempt)
        from_our_pages(auth, request, mode)
        if (mode is Mode.JWT) != (body.attempt is not None):
            raise AttemptOver("it did not come by the way of its mode")
        chosen_mode(auth, arrival, mode.value)
        made = await finish(
            auth, arrival, attempt, method=body.method, code=body.code, credential=body.credential or None
        )
    except AttemptOver as error:
        # The cookie will never be any good again.
        return delivery.with_cookies(problem_response(problem_of(error)), delivery.forget_attempt(request.scope))
    renewed = bool(auth.attempts.renewed_by(attempt))
    email = await email_of(auth, made.session.subject)
    response = login_response(request, made, email, renewed=renewed)
    return delivery.with_cookies(response, delivery.forget_attempt(request.scope))
