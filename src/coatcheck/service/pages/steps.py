"""The second step of a login, as a person sees it."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from ...errors import AttemptOver, InvalidStep, Throttled
from ...model import Mode
from ...web import delivery
from ...web.destination import safe_next
from ...web.entry import next_query, retry_later
from ...web.logins import finish
from ...web.visit import Visit, endpoint, wait_text

WRONG: Final = "That was not right. Try again."
EMPTY: Final = "Fill in this field."


async def page(visit: Visit) -> Response:
    """GET /login/step."""
    try:
        return await _form(visit, visit.next)
    except AttemptOver:
        return _over(visit, visit.next)


async def _go_on(visit: Visit) -> Response:
    form = await visit.form()
    next, method, code = safe_next(form.get("next", "")), form.get("method", ""), form.get("code", "").strip()
    attempt = visit.arrival.attempt()
    try:
        mode = visit.auth.attempts.mode_of(attempt)
        if mode is Mode.JWT:  # a page cannot hand out tokens
            return _over(visit, next)
        visit.require_cookies(mode)
        if not code:
            return await _form(visit, next, status=422, wrong=method, error=EMPTY)
        made = await finish(visit.auth, visit.arrival, attempt, method=method, code=code)
    except InvalidStep:
        return await _form(visit, next, status=401, wrong=method, error=WRONG)
    except Throttled as error:
        return retry_later(await _form(visit, next, status=429, problem=wait_text(error)), error)
    except AttemptOver:
        return _over(visit, next)
    renews = bool(visit.auth.attempts.renewed_by(attempt))
    onward = visit.go_on(next, "/account", done="proved") if renews else visit.enter(next)
    response = visit.deliver(onward, made, renewed=renews)
    return delivery.with_cookies(response, delivery.forget_attempt(visit.request.scope))


go_on: Final = endpoint(_go_on)
"""POST /login/step with a form: check the answer, log in and go on, or show it again."""


def _over(visit: Visit, next: str) -> Response:
    response = visit.go("/login", next=next, done="over")
    return delivery.with_cookies(response, delivery.forget_attempt(visit.request.scope))


async def _form(
    visit: Visit, next: str, *, status: int = 200, problem: str = "", wrong: str = "", error: str = ""
) -> Response:
    """``wrong``: the method whose answer was, and ``error`` what to say at it. Raises `AttemptOver`."""
    methods = await visit.auth.attempts.methods(visit.arrival.attempt())
    steps = [step for step in visit.auth.steps if step.method in methods]
    if not steps:
        raise AttemptOver("nothing more is required")
    return visit.page(
        "step",
        status=status,
        next=next,
        next_query=next_query(next),
        steps=steps,
        problem=problem,
        wrong=wrong,
        error=error,
        first=wrong if wrong in methods else steps[0].method,
    )
