"""The session one is in, and the device list."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ...auth import Auth
from ...credentials.opaque import is_session_id
from ...errors import Conflict, NotFound, RevokedCredential
from ...model import Identity, Session
from ...web import delivery
from ...web.access import require_identity
from ...web.answers import CurrentSession, ListedSession, SessionPage, SubjectView, access_view
from ...web.bodies import LabelBody, NoBody, answer_json, read_json
from ...web.contract import COOKIE_OR_BEARER, described
from ...web.listed import Cursor, Limit, listed, page_of
from ...web.logins import email_of

routes = APIRouter()


_TRIES: Final = 5
"""How often a label is written again when something else was written at the same moment."""


@routes.get("/session", **described({200: CurrentSession}, problems=(401,), security=COOKIE_OR_BEARER))
async def session(request: Request) -> Response:
    """Who is asking, and in which session."""
    auth, identity = await require_identity(request, in_person=False)
    standing = await auth.sessions.find(identity.session_id, now=auth.clock.now())
    if standing is None:
        raise RevokedCredential("session is not live")
    roles = sorted(identity.roles)
    return answer_json(
        CurrentSession(
            subject=SubjectView(id=identity.subject, email=await email_of(auth, identity.subject), roles=roles),
            session=delivery.session_view(standing.session),
            mode=identity.mode.value,
            roles=roles,
            amr=list(identity.amr),
            auth_time=delivery.timestamp(identity.auth_time),
            **access_view(standing.session.access),
        )
    )


@routes.get("/sessions", **described({200: SessionPage}, problems=(401, 403, 422), security=COOKIE_OR_BEARER))
async def sessions(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """The subject's live sessions, newest first, page by page."""
    auth, identity = await require_identity(request)
    return answer_json(await page_of(auth, identity.subject, identity.session_id, limit, cursor))


@routes.patch(
    "/sessions/{id}",
    **described(
        {200: ListedSession}, problems=(401, 403, 404, 409, 413, 415, 422), security=COOKIE_OR_BEARER, json=LabelBody
    ),
)
async def label_session(request: Request, id: str) -> Response:
    """Name a device."""
    auth, identity = await require_identity(request)
    body = await read_json(request, LabelBody)
    for _ in range(_TRIES):
        found = await _own(auth, identity, id)
        try:
            changed = await auth.sessions.update(id, found.version, now=auth.clock.now(), label=body.label)
        except Conflict:
            continue
        if changed is None:
            raise NotFound("session ended meanwhile")
        return answer_json(listed(changed, identity.session_id))
    raise Conflict("the session keeps changing")


@routes.delete(
    "/sessions/{id}",
    **described(
        {204: "The session has ended."},
        problems=(401, 403, 404, 413, 415, 422),
        security=COOKIE_OR_BEARER,
        json=NoBody,
        optional=True,
    ),
)
async def end_session(request: Request, id: str) -> Response:
    """End one of one's own sessions; the present one too."""
    auth, identity = await require_identity(request)
    await read_json(request, NoBody, optional=True)
    await auth.revoke((await _own(auth, identity, id)).id)
    response = Response(status_code=204)
    if id == identity.session_id:
        return delivery.with_cookies(response, delivery.forget(request.scope))
    return response


async def _own(auth: Auth, identity: Identity, session_id: str) -> Session:
    """The subject's own live session. Raises the same `NotFound` for one that is not and for someone else's."""
    standing = None
    if is_session_id(session_id):
        standing = await auth.sessions.find(session_id, now=auth.clock.now())
    if standing is None or standing.session.subject != identity.subject:
        raise NotFound("no such session of this subject")
    return standing.session
