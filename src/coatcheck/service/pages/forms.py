"""Logging in and logging out.

These are covered by where the request comes from: nobody may log a visitor in as somebody else (login CSRF) or out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from ...errors import InvalidLogin, NotFound, NotLoggedIn, StepRequired, Throttled
from ...model import LOGOUT_KINDS, Mode
from ...web import once
from ...web.entry import NO_EMAIL, NO_ERRORS, Entry, next_query, read_entry, retry_later
from ...web.visit import DONE, Visit, endpoint, wait_text

NO_NAME: Final = "Enter your e-mail address or user name."
WRONG_EMAIL: Final = "E-mail address or password is wrong."
WRONG_NAME: Final = "E-mail address, user name or password is wrong."


async def login_page(visit: Visit) -> Response:
    """GET /login. Whoever is logged in and was sent here is asked what they want: were they sent on, a page that lets
    them in no more than before would send them back, and so on for ever."""
    if visit.identity is not None and not visit.is_sent:
        return visit.go("/account")
    return await _login_form(visit, Entry(next=visit.next))


async def _login(visit: Visit) -> Response:
    entry, ours = await read_entry(visit), visit.auth.has_accounts
    if errors := entry.missing(NO_EMAIL if ours else NO_NAME):
        return await _login_form(visit, entry, status=422, errors=errors)
    try:
        proved = await visit.auth.authenticate(entry.email, entry.password, ip=visit.ip)
        credentials = await visit.log_in(proved.subject, once=entry.once, epoch=proved.epoch, remember=entry.remember)
    except StepRequired as more:
        return visit.step_on(more, Mode.SESSION, entry.next)
    except InvalidLogin:
        problem = WRONG_EMAIL if ours else WRONG_NAME
        return await _login_form(visit, entry, status=401, problem=problem, about="problem")
    except Throttled as error:
        return retry_later(await _login_form(visit, entry, status=429, problem=wait_text(error)), error)
    return visit.deliver(visit.enter(entry.next), credentials)


async def _logout(visit: Visit) -> Response:
    sessions = visit.sessions
    form = await visit.form(*sessions)
    for session_id in sessions:
        await visit.auth.revoke(session_id)
    return visit.forget(visit.onward(form.get("next", ""), "/login", done="logout"))


async def _logout_others(visit: Visit) -> Response:
    if visit.identity is None:
        return _nobody(visit)
    form = await visit.form(visit.identity.session_id)
    try:
        await visit.auth.revoke_subject(visit.identity.subject, kinds=LOGOUT_KINDS, excepted=visit.identity.session_id)
    except NotFound:  # this session has just been ended elsewhere, and so nothing was done
        return visit.forget(_nobody(visit))
    return visit.onward(form.get("next", ""), "/account")


async def _logout_everywhere(visit: Visit) -> Response:
    if visit.identity is None:
        return _nobody(visit)
    form = await visit.form(visit.identity.session_id)
    await visit.auth.revoke_subject(visit.identity.subject, kinds=LOGOUT_KINDS)
    return visit.forget(visit.onward(form.get("next", ""), "/login", done="everywhere"))


def _nobody(visit: Visit) -> Response:
    """Whose login has ended has logged nobody out elsewhere, and is told so. Raises `NotLoggedIn` without pages."""
    if not visit.request.app.state.pages:
        raise NotLoggedIn("nobody to log out elsewhere")
    return visit.log_in_first("/account")


login: Final = endpoint(_login)
"""POST /login with a form: check it, log in and go on, or show it again."""
logout: Final = endpoint(_logout)
"""POST /logout with a form, ours or one in a page of the application's: end the session that the cookie names, even
when its credential has expired, and go on to ``next`` or to the application."""
logout_others: Final = endpoint(_logout_others)
"""POST /logout/others with a form."""
logout_everywhere: Final = endpoint(_logout_everywhere)
"""POST /logout/everywhere with a form."""


async def _login_form(
    visit: Visit, entry: Entry, *, status: int = 200, problem: str = "", about: str = "",
    errors: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    """``about``: the id of the message that both fields are described by."""
    ours = visit.auth.has_accounts
    sent = {"done": DONE["login"]["needed"]} if entry.next and status == 200 and not visit.said(DONE["login"]) else {}
    return visit.page(
        "login",
        **sent,
        status=status,
        once=once.new_value(visit.auth),
        next=entry.next,
        next_query=next_query(entry.next),
        who=await visit.name(),
        label="E-mail address" if ours else "E-mail address or user name",
        keyboard="email" if ours else "",
        email=entry.email,
        remember=entry.remember,
        problem=problem,
        about=about,
        errors=NO_ERRORS | dict(errors or {}),
    )
