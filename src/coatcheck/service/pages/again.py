"""Proving again who one is, for what asks for a login that is fresh."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from ...errors import InvalidCredential, InvalidLogin, StepRequired, Throttled
from ...model import Identity, Mode
from ...web.destination import safe_next
from ...web.entry import NO_PASSWORD, next_query, retry_later
from ...web.visit import Visit, endpoint, wait_text

WRONG: Final = "This is not your password."


async def page(visit: Visit) -> Response:
    """GET /reauthenticate. It asks for the password however fresh the login is: whoever sends people here knows why."""
    if visit.identity is None:
        return _log_in(visit, visit.next)
    return await _form(visit, visit.identity, visit.next)


async def _prove(visit: Visit) -> Response:
    form = await visit.form(*([visit.identity.session_id] if visit.identity else []))
    next = safe_next(form.get("next", ""))
    identity = visit.identity
    if identity is None or identity.mode is Mode.JWT:  # a page cannot hand out tokens
        return _log_in(visit, next)
    visit.require_cookies(identity.mode)
    if not form.get("password"):
        return await _form(visit, identity, next, status=422, error=NO_PASSWORD)
    try:
        proved = await visit.auth.logins.check_password(identity.subject, form["password"], ip=visit.ip)
        await visit.auth.attempts.check(
            identity.subject,
            epoch=proved.epoch,
            amr=proved.amr,
            at=None,
            mode=identity.mode,
            renews=identity.session_id,
        )
        credentials = await visit.auth.issuer.reauthenticate(identity.session_id, epoch=proved.epoch)
    except StepRequired as more:
        return visit.step_on(more, identity.mode, next)
    except InvalidLogin:
        return await _form(visit, identity, next, status=401, error=WRONG)
    except Throttled as error:
        return retry_later(await _form(visit, identity, next, status=429, problem=wait_text(error)), error)
    except InvalidCredential:  # it has just been ended elsewhere
        visit.ended = True
        return visit.forget(_log_in(visit, next))
    return visit.deliver(visit.go_on(next, "/account", done="proved"), credentials, renewed=True)


reauthenticate: Final = endpoint(_prove)
"""POST /reauthenticate with a form: a new session in the place of this one, and on to where the person was headed."""


def _log_in(visit: Visit, next: str) -> Response:
    """A login is as good a proof, so it leads straight on."""
    return visit.go("/login", next=next or f"{visit.root}/account", done="ended" if visit.ended else "needed")


async def _form(
    visit: Visit, identity: Identity, next: str, *, status: int = 200, problem: str = "", error: str = ""
) -> Response:
    name = await visit.auth.logins.name_of(identity.subject)
    return visit.page(
        "reauthenticate",
        status=status,
        next=next,
        next_query=next_query(next),
        who=await visit.name(),
        username=name or "",
        problem=problem,
        error=error,
    )
