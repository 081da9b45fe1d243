"""Signing up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from ...errors import EmailTaken, InvalidEmail, InvalidLogin, StepRequired, Throttled, WeakPassword
from ...model import Mode
from ...web import once
from ...web.entry import NO_ERRORS, Entry, next_query, read_entry, retry_later, sentence
from ...web.refusals import Refusal
from ...web.visit import Visit, wait_text
from . import rules

BAD_EMAIL: Final = "Enter an e-mail address, such as name@example.com."
TAKEN: Final = "There is an account with this address already. Log in, or use another address."


async def signup_page(visit: Visit) -> Response:
    """GET /signup; for somebody logged in as `login_page`, and so with an invitation. Raises `Refusal` where one is
    needed and there is none."""
    text = visit.request.query_params.get("invitation", "")
    if visit.identity is not None and not visit.is_sent and not text:
        return visit.go("/account")
    invitation = rules.invitation_of(visit.auth, text)
    if invitation is None and (text or rules.needs_invitation(visit.auth)):
        raise Refusal(rules.INVITATION_NEEDED)
    return await _signup_form(
        visit, Entry(email=invitation.email if invitation else "", next=visit.next, invitation=text)
    )


async def signup(visit: Visit) -> Response:
    """POST /signup: make an account and log in."""
    entry = await read_entry(visit)
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
    return visit.deliver(visit.enter(entry.next, done="welcome"), credentials)


async def _register(visit: Visit, entry: Entry) -> str:
    """The new account's id, also where it was made a moment ago, with the same password and since the form was handed
    out: it was sent twice. Raises as `rules.register`."""
    try:
        account = await rules.register(
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


async def _signup_form(
    visit: Visit, entry: Entry, *, status: int = 200, problem: str = "", errors: Mapping[str, str] | None = None
) -> Response:
    return visit.page(
        "registration/signup",
        status=status,
        once=once.new_value(visit.auth),
        next=entry.next,
        invitation=entry.invitation,
        next_query=next_query(entry.next),
        who=await visit.name(),
        email=entry.email,
        problem=problem,
        errors=NO_ERRORS | dict(errors or {}),
        min_length=visit.auth.password_policy.min_length,
    )
