"""The account: who one is, and changing the password."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from ...errors import Conflict, InvalidLogin, Throttled, WeakPassword
from ...model import Identity, Mode
from ...web.destination import safe_next
from ...web.entry import next_query, retry_later, sentence
from ...web.logins import email_of
from ...web.visit import Visit, wait_text
from ...web.words import moment


async def home(visit: Visit) -> Response:
    """GET /: to the account, or to the login page."""
    return visit.go("/login" if visit.identity is None else "/account")


async def account_page(visit: Visit) -> Response:
    """GET /account."""
    if visit.identity is None:
        return visit.log_in_first(f"/account{next_query(visit.next)}")
    return await _account(visit, visit.identity)


async def change_password(visit: Visit) -> Response:
    """POST /account/password. All sessions end, and a new one takes the place of this one."""
    if visit.identity is None:
        return visit.log_in_first("/account")
    form = await visit.form(visit.identity.session_id)
    current, new = form.get("current_password", ""), form.get("new_password", "")
    errors = {}
    if not current:
        errors["current_password"] = "Enter your current password."
    if not new:
        errors["new_password"] = "Enter a new password."
    if errors:
        return await _account(visit, visit.identity, status=422, errors=errors)
    return await _change(visit, visit.identity, form)


async def _change(visit: Visit, identity: Identity, form: Mapping[str, str]) -> Response:
    current, new = form["current_password"], form["new_password"]
    visit.require_cookies(identity.mode)
    keep = None if identity.mode is Mode.JWT else identity.session_id  # a page cannot hand out tokens
    try:
        credentials = await visit.auth.logins.change_password(identity.subject, current, new, keep=keep, ip=visit.ip)
    except InvalidLogin:
        errors = {"current_password": "This is not your current password."}
        return await _account(visit, identity, status=401, errors=errors)
    except WeakPassword as error:
        return await _account(visit, identity, status=422, errors={"new_password": sentence(str(error))})
    except Conflict:
        problem = "Your password was changed elsewhere in the meantime. Nothing was changed here."
        return await _account(visit, identity, status=409, problem=problem)
    except Throttled as error:
        return retry_later(await _account(visit, identity, status=429, problem=wait_text(error)), error)
    if credentials is None:  # this session has just been ended elsewhere, or belongs to a program and not a browser
        visit.ended = True
        return visit.forget(visit.log_in_first("/account"))
    next = safe_next(form.get("next", ""))
    return visit.deliver(visit.go("/account", done="password", next=next), credentials, renewed=True)


async def _account(
    visit: Visit, identity: Identity, *, status: int = 200, problem: str = "", errors: Mapping[str, str] | None = None
) -> Response:
    auth, now = visit.auth, visit.auth.clock.now()
    account = await auth.accounts.get(identity.subject) if auth.has_accounts else None
    email = account.email if account else await email_of(auth, identity.subject)
    return visit.page(
        "account",
        status=status,
        wide=True,
        email=email or "",
        username=account.email if account else "",
        roles=sorted(identity.roles),
        since=moment(account.created, now) if account else None,
        logged_in=moment(identity.auth_time, now),
        problem=problem,
        errors=dict.fromkeys(("current_password", "new_password"), "") | dict(errors or {}),
        min_length=auth.password_policy.min_length,
    )
