"""A subject's sessions as the API lists them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from ..auth import Auth
from ..model import LOGOUT_KINDS, Session
from . import delivery
from .answers import DeviceView, ListedSession, SessionPage, access_view
from .words import device_name

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=512)]


async def page_of(auth: Auth, subject: str, current: str, limit: int, cursor: str | None) -> SessionPage:
    """A page of a subject's sessions; ``current`` is the one to be marked."""
    now = auth.clock.now()
    page = await auth.sessions.sessions_of(subject, now=now, limit=limit, cursor=cursor, kinds=LOGOUT_KINDS)
    return SessionPage(sessions=[listed(item, current) for item in page.sessions], next=page.next)


def listed(session: Session, current: str) -> ListedSession:
    """One of them; ``current`` is the id of the one that asks."""
    device = session.device
    return ListedSession(
        **delivery.session_view(session).model_dump(),
        mode=session.mode.value,
        last_seen_at=delivery.timestamp(session.seen),
        device=DeviceView(
            user_agent=device.user_agent, ip=device.ip, label=device.label, name=device_name(device.user_agent)
        ),
        current=session.id == current,
        amr=list(session.amr),
        **access_view(session.access),
    )
