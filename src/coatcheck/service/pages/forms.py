"""Logging in, signing up and logging out.

These are covered by where the request comes from: nobody may log a visitor in as somebody else (login CSRF) or out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from ...errors import EmailTaken, InvalidEmail, InvalidLogin, StepRequired, Throttled, WeakPassword
from ...model import Mode
from .. import once, registration
from ..refusals import Refusal
from .destination import safe_next
from .visit import Visit, endpoint, wait_text

NO_EMAIL: Final = "Enter your e-mail address."
BAD_EMAIL: Final = "Enter an e-mail address, such as name@example.com."
NO_NAME: Final = "Enter your e-mail address or user name."
NO_PASSWORD: Final = "Enter your password."
TAKEN: Final = "There is an account with this address already. Log in, or use another address."
WRONG_EMAIL: Final = "E-mail address or password is wrong."
WRONG_NAME: Final = "E-mail address, user name or password is wrong."
_NO_ERRORS: Final = {"email": "", "password": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What somebody entered. All but the password goes back onto the page when it has to be shown again."""

    email: str = ""
    """Their address; with users of the application, whatever they log in with."""
    password: str = field(default="", repr=False)
    remember: bool = False
    next: str = ""
    invitation: str = field(default="", repr=False)
    once: str = field(default="", repr=False)
    """By which a form is known that is sent twice."""

    def missing(self, no_email: str = NO_EMAIL) -> dict[str, str]:
        """What to say at the fields that were left empty."""
        said = {}
        if not self.email:
            said["email"] = no_email
        if not self.password:
            said["password"] = NO_PASSWORD
        return said


async def login_page(visit: Visit) -> Response:
    """GET /login. Whoever is logged in and was sent here is asked what they want: were they sent on, a page that lets
    them in no more than before would send them back, and so on for ever."""
    if visit.identity is not None and not visit.is_sent:
        return visit.go("/account")
    return await _login_form(visit, _Entry(next=visit.next))


async def signup_page(visit: Visit) -> Response:
    """GET /signup; for somebody logged in as `login_page`, and so with an invitation. Raises `Refusal` where one is
    needed and there is none."""
    text = visit.request.query_params.get("invitation", "")
    if visit.identity is not None and not visit.is_sent and not text:
        return visit.go("/account")
    invitation = registration.invitation_of(visit.auth, text)
    if invitation is None and (text or registration.needs_invitation(visit.auth)):
        raise Refusal(registration.INVITATION_NEEDED)
    return await _signup_form(
        visit, _Entry(email=invitation.email if invitation else "", next=visit.next, invitation=text)
    )


async def _login(visit: Visit) -> Response:
    entry, ours = await _entry(visit), visit.auth.has_accounts
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
    return visit.deliver(visit.go_on(entry.next, "/account"), credentials)


async def signup(visit: Visit) -> Response:
    """POST /signup: make an account and log in."""
    entry = await _entry(visit)
    if errors := entry.missing():
        return await _signup_form(visit, entry, status=422, errors=errors)
    try:
        subject = await _register(visit, entry)
    except InvalidEmail:
        return await _signup_form(visit, entry, status=422, errors={"email": BAD_EMAIL})
    except WeakPassword as error:
        return await _signup_form(visit, entry, status=422, errors={"password": sentence(str(error))})
    except EmailTaken:
        return await _signup_form(visit, entry, status=409, errors={"email": TAKEN})
    except Throttled as error:
        return retry_later(await _signup_form(visit, entry, status=429, problem=wait_text(error)), error)
    try:
        credentials = await visit.log_in(subject, once=entry.once)
    except StepRequired as more:  # it was made a moment ago, and has been given a second factor since
        return visit.step_on(more, Mode.SESSION, entry.next)
    return visit.deliver(visit.go_on(entry.next, "/account", done="welcome"), credentials)


async def _register(visit: Visit, entry: _Entry) -> str:
    """The new account's id, also where it was made a moment ago, with the same password and since the form was handed
    out: it was sent twice. Raises as `registration.register`."""
    try:
        account = await registration.register(
            visit.auth, entry.email, entry.password, invitation=entry.invitation, ip=visit.ip
        )
    except EmailTaken as taken:
        made = await visit.auth.accounts.find_by_email(entry.email)
        if made is None or not once.may_have_made(visit.auth, entry.once, created=made.created):
            raise
        try:
            return (await visit.auth.authenticate(entry.email, entry.password, ip=visit.ip)).subject
        except InvalidLogin:
            raise taken from None
    return account.id


async def _logout(visit: Visit) -> Response:
    sessions = visit.sessions
    await visit.form(*sessions)
    for session_id in sessions:
        await visit.auth.revoke(session_id)
    return visit.forget(visit.go("/login", done="logout"))


login: Final = endpoint(_login)
"""POST /login with a form: check it, log in and go on, or show it again."""
logout: Final = endpoint(_logout)
"""POST /logout with a form: end the session that the cookie names, even when its credential has expired."""


def sentence(text: str) -> str:
    """An error's text as a sentence on a page."""
    return f"{text[:1].upper()}{text[1:]}."


def retry_later(response: Response, error: Throttled) -> Response:
    """The response with the time to wait in its header."""
    response.headers["Retry-After"] = str(error.retry_after)
    return response


async def _entry(visit: Visit) -> _Entry:
    """The form, once it is sure that a session could be handed out."""
    form = await visit.form()
    visit.require_cookies()
    return _Entry(
        email=form.get("email", "").strip(),
        password=form.get("password", ""),
        remember="remember" in form,
        next=safe_next(form.get("next", "")),
        invitation=form.get("invitation", ""),
        once=form.get("once", ""),
    )


async def _login_form(
    visit: Visit, entry: _Entry, *, status: int = 200, problem: str = "", about: str = "",
    errors: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    """``about``: the id of the message that both fields are described by."""
    ours = visit.auth.has_accounts
    return visit.page(
        "login",
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
        errors=_NO_ERRORS | dict(errors or {}),
    )


async def _signup_form(
    visit: Visit, entry: _Entry, *, status: int = 200, problem: str = "", errors: Mapping[str, str] | None = None
) -> Response:
    return visit.page(
        "signup",
        status=status,
        once=once.new_value(visit.auth),
        next=entry.next,
        invitation=entry.invitation,
        next_query=next_query(entry.next),
        who=await visit.name(),
        email=entry.email,
        problem=problem,
        errors=_NO_ERRORS | dict(errors or {}),
        min_length=visit.auth.password_policy.min_length,
    )


def next_query(next: str) -> str:
    """What takes ``next`` along to another of our pages."""
    return f"?{urlencode({'next': next})}" if next else ""
