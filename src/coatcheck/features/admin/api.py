"""For administrators: accounts, their roles and status, and their sessions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator
from starlette.requests import Request
from starlette.responses import Response

from ... import acts
from ...auth import Auth
from ...errors import EmailTaken, NotFound, RevokedCredential
from ...model import Account, Identity
from ...web import delivery
from ...web.access import ADMIN, require_admin, tell_refused
from ...web.answers import AccountPage, AccountView, InvitationView, SessionPage
from ...web.bodies import InvitationBody, NoBody, SubjectPatch, answer_json, printable, read_json
from ...web.contract import COOKIE_OR_BEARER, described
from ...web.listed import Cursor, Limit, page_of
from ...web.refusals import OWN_ACCOUNT, Refusal

accounts = APIRouter(prefix="/admin/subjects")
"""Routes that need accounts of our own."""
invitations = APIRouter(prefix="/admin")
"""Where people may register."""
routes = APIRouter(prefix="/admin/subjects")


@accounts.get("", **described({200: AccountPage}, problems=(401, 403, 422), security=COOKIE_OR_BEARER))
async def subjects(
    request: Request,
    search: Annotated[str, Query(max_length=254), AfterValidator(printable)] = "",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Accounts, newest first, page by page; ``search`` is a part of the address."""
    auth, _ = await require_admin(request)
    page = await auth.accounts.page(search=search, limit=limit, cursor=cursor)
    return answer_json(AccountPage(subjects=[_view(account) for account in page.accounts], next=page.next))


@invitations.post(
    "/invitations",
    **described(
        {201: InvitationView}, problems=(401, 403, 409, 413, 415, 422), security=COOKIE_OR_BEARER, json=InvitationBody
    ),
)
async def invite(request: Request) -> Response:
    """An invitation for one address to register, with these roles: ``/signup?invitation=…``. It counts once."""
    auth, identity = await require_admin(request)
    body = await read_json(request, InvitationBody)
    # What is handed out outlives the lease, so memory does not do: the store says that the session is live.
    if await auth.sessions.find(identity.session_id, now=auth.clock.now()) is None:
        raise RevokedCredential("session is not live")
    if await auth.accounts.find_by_email(body.email) is not None:
        raise EmailTaken("there is an account with this address")
    text = auth.invite(body.email, roles=body.roles, lifetime=body.expires_in)
    expires = delivery.timestamp(auth.clock.now() + body.expires_in)
    return answer_json(InvitationView(invitation=text, email=body.email, expires_at=expires), 201)


@accounts.get("/{id}", **described({200: AccountView}, problems=(401, 403, 404), security=COOKIE_OR_BEARER))
async def subject(request: Request, id: str) -> Response:
    """One account."""
    auth, _ = await _asked_about(request, id)
    return answer_json(_view(await auth.accounts.get(id)))


@accounts.patch(
    "/{id}",
    **described(
        {200: AccountView}, problems=(401, 403, 404, 409, 413, 415, 422), security=COOKIE_OR_BEARER, json=SubjectPatch
    ),
)
async def change_subject(request: Request, id: str) -> Response:
    """Replace the roles, or disable or enable. It counts at once; disabling ends all sessions. Nobody can take the
    role from, or disable, themself."""
    auth, identity = await _asked_about(request, id)
    body = await read_json(request, SubjectPatch)
    given = body.model_fields_set
    if id == identity.subject and (
        ("roles" in given and ADMIN not in body.roles) or ("status" in given and body.status == "disabled")
    ):
        tell_refused(acts.ADMIN_REFUSED, request, "they would lock themself out")
        raise Refusal(OWN_ACCOUNT)
    # Roles first: they may be refused, and then nothing has changed.
    if "roles" in given:
        await auth.accounts.set_roles(id, body.roles)
    if "status" in given:
        await (auth.accounts.disable(id) if body.status == "disabled" else auth.accounts.enable(id))
    return answer_json(_view(await auth.accounts.get(id)))


@routes.post(
    "/{id}/logout",
    **described(
        {204: "All sessions of the subject have ended."},
        problems=(401, 403, 404, 413, 415, 422),
        security=COOKIE_OR_BEARER,
        json=NoBody,
        optional=True,
    ),
)
async def logout_subject(request: Request, id: str) -> Response:
    """End all sessions of a subject."""
    auth, _ = await _asked_about(request, id)
    await read_json(request, NoBody, optional=True)
    if auth.has_accounts:
        await auth.accounts.get(id)
    await auth.revoke_subject(id)
    return Response(status_code=204)


@routes.get("/{id}/sessions", **described({200: SessionPage}, problems=(401, 403, 404, 422), security=COOKIE_OR_BEARER))
async def sessions_of_subject(request: Request, id: str, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """A subject's live sessions, newest first, page by page."""
    auth, identity = await _asked_about(request, id)
    if auth.has_accounts:
        await auth.accounts.get(id)
    return answer_json(await page_of(auth, id, identity.session_id, limit, cursor))


async def _asked_about(request: Request, id: str) -> tuple[Auth, Identity]:
    """As `require_admin`. Raises `NotFound` for what can be nobody's id."""
    found = await require_admin(request)
    if "\0" in id:
        raise NotFound("no subject has this id")
    return found


def _view(account: Account) -> AccountView:
    return AccountView(
        id=account.id,
        email=account.email,
        roles=sorted(account.roles),
        status="disabled" if account.disabled else "active",
        created_at=delivery.timestamp(account.created),
    )
