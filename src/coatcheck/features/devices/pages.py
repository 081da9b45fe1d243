"""The devices: every live session of the person, and ending them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from ...credentials.opaque import is_session_id
from ...errors import Conflict, NotFound
from ...model import LOGOUT_KINDS, Identity, Session
from ...web.bodies import MAX_LABEL
from ...web.visit import Visit
from ...web.words import MODES, Moment, device_name, moment

DONE: Final = {
    "others": "All other devices have been logged out.",
    "device": "The device has been logged out.",
    "gone": "That device is not logged in any more.",
    "label": "The name has been saved.",
}
"""What ``?done=`` may stand for."""
PAGE: Final = 50
"""Devices shown at once."""
_UNFIT: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
_TRIES: Final = 3
"""How often a label is written again because something else about the session was."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One device, as the page shows it."""

    id: str
    name: str
    label: str
    user_agent: str
    ip: str
    kind: str
    created: Moment
    seen: Moment
    ends: Moment
    current: bool


async def devices_page(visit: Visit) -> Response:
    """GET /devices. This one stands first, whatever its age."""
    cursor = visit.request.query_params.get("cursor", "")
    here = f"/devices?{urlencode({'cursor': cursor})}" if cursor else "/devices"
    if visit.identity is None:
        return visit.log_in_first(here)
    current, now = visit.identity.session_id, visit.auth.clock.now()
    page = await visit.auth.sessions.sessions_of(
        visit.identity.subject, now=now, limit=PAGE, cursor=cursor or None, kinds=LOGOUT_KINDS
    )
    this = None if cursor else await visit.auth.sessions.find(current, now=now)
    older = f"{visit.root}/devices?{urlencode({'cursor': page.next})}" if page.next else ""
    return visit.page(
        "devices/devices",
        wide=True,
        done=visit.said(DONE),
        this=_row(this.session, current, now) if this else None,
        others=[_row(session, current, now) for session in page.sessions if session.id != current],
        older=older,
        paged=bool(cursor),
        max_label=MAX_LABEL,
    )


async def log_out_one(visit: Visit) -> Response:
    """POST /devices/{id}/logout. Someone else's session and one that is over are answered alike."""
    if visit.identity is None:
        return visit.log_in_first("/devices")
    await visit.form(visit.identity.session_id)
    session = await _own(visit, visit.identity)
    if session is None:
        return visit.go("/devices", done="gone")
    ended = await visit.auth.revoke(session.id)
    if session.id == visit.identity.session_id:
        return visit.forget(visit.go("/login", done="logout"))
    return visit.go("/devices", done="device" if ended else "gone")


async def log_out_others(visit: Visit) -> Response:
    """POST /devices/others/logout."""
    if visit.identity is None:
        return visit.log_in_first("/devices")
    await visit.form(visit.identity.session_id)
    try:
        await visit.auth.revoke_subject(visit.identity.subject, kinds=LOGOUT_KINDS, excepted=visit.identity.session_id)
    except NotFound:  # this session has just been ended elsewhere, and so nothing was done
        visit.ended = True
        return visit.forget(visit.log_in_first("/devices"))
    return visit.go("/devices", done="others")


async def log_out_everywhere(visit: Visit) -> Response:
    """POST /devices/everywhere/logout."""
    if visit.identity is None:
        return visit.log_in_first("/devices")
    await visit.form(visit.identity.session_id)
    await visit.auth.revoke_subject(visit.identity.subject, kinds=LOGOUT_KINDS)
    return visit.forget(visit.go("/login", done="everywhere"))


async def rename(visit: Visit) -> Response:
    """POST /devices/{id}/label. An empty name takes the old one away."""
    if visit.identity is None:
        return visit.log_in_first("/devices")
    form = await visit.form(visit.identity.session_id)
    label = clean_label(form.get("label", ""))
    for _ in range(_TRIES):
        session = await _own(visit, visit.identity)
        if session is None:
            return visit.go("/devices", done="gone")
        try:
            now = visit.auth.clock.now()
            changed = await visit.auth.sessions.update(session.id, session.version, now=now, label=label)
        except Conflict:
            continue
        return visit.go("/devices", done="label" if changed else "gone")
    raise Conflict("the session was written by others again and again")


def clean_label(text: str) -> str:
    """A name on one line, as the API would take it: control characters and those that turn the direction of writing
    become spaces, and spaces single."""
    return " ".join(_UNFIT.sub(" ", text).split())[:MAX_LABEL].rstrip()


async def _own(visit: Visit, identity: Identity) -> Session | None:
    """The session that the path names, if it is live and this person's. Raises `NotFound` for what names none."""
    session_id = visit.request.path_params["id"]
    if not is_session_id(session_id):
        raise NotFound("not a session id")
    found = await visit.auth.sessions.find(session_id, now=visit.auth.clock.now())
    return found.session if found and found.session.subject == identity.subject else None


def _row(session: Session, current: str, now: float) -> _Row:
    return _Row(
        id=session.id,
        name=device_name(session.device.user_agent),
        label=session.device.label,
        user_agent=session.device.user_agent,
        ip=session.device.ip,
        kind=MODES[session.mode],
        created=moment(session.created, now),
        seen=moment(now if session.id == current else session.seen, now),
        ends=moment(session.absolute_deadline, now),
        current=session.id == current,
    )
