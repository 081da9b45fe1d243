"""``coatcheck sessions``: list sessions and end them."""

from __future__ import annotations

from typing import Any

import click

from ..errors import NotFound
from ..model import Session
from ..stores.base import SessionPage
from .deployment import Deployment, json_option, run, store_options
from .output import answer, printable, table, timestamp


@click.group("sessions", short_help="List sessions and end them.")
def command() -> None:
    """Sessions, of whatever mode. Running processes refuse an ended one within milliseconds."""


@command.command("list")
@click.argument("user")
@click.option("--limit", default=50, type=click.IntRange(1, 200), help="Rows of one page.  [default: 50]")
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
@store_options
@json_option
def list_(user: str, limit: int, cursor: str | None, as_json: bool, **where: str | None) -> None:
    """List the live sessions of USER (an e-mail address or a subject's id), newest first."""

    async def work(deployment: Deployment) -> SessionPage:
        subject = await deployment.subject(user)
        return await deployment.sessions.sessions_of(subject, now=deployment.clock.now(), limit=limit, cursor=cursor)

    page = run(work, **where)
    rows = [_row(session) for session in page.sessions]
    text = table(("SESSION", "MODE", "CREATED", "LAST SEEN", "EXPIRES", "DEVICE"), rows) if rows else "no live sessions"
    if page.next:
        text += f"\nThere are more: --cursor {page.next}"
    value = {"sessions": [as_session(session) for session in page.sessions], "next": page.next}
    answer(value, as_json=as_json, text=text)


@command.command("revoke")
@click.argument("session_ids", nargs=-1, metavar="[SESSION_ID]...")
@click.option("--subject", metavar="USER", help="End all sessions of this e-mail address or subject id.")
@click.option("--unknown", is_flag=True, help="Also a subject's id that is not known here, as after a restore.")
@click.option("--wait", is_flag=True, help="Return only when no process, however slow, can accept them any more.")
@store_options
@json_option
def revoke(
    session_ids: tuple[str, ...],
    subject: str | None,
    unknown: bool,
    wait: bool,
    as_json: bool,
    **where: str | None,
) -> None:
    """End sessions everywhere, by their ids or all of one subject.

    \b
    coatcheck sessions revoke JpV2c0ynTq1wTJjHkfO3vU1a
    coatcheck sessions revoke --subject ann@example.com --wait

    An id may begin with a dash: put -- before it. Exit code 1 when one of the ids is of no session here. Should a store
    that was put back have forgotten it, its access tokens are refused from now on all the same; the others are ended.
    """
    if bool(session_ids) == bool(subject):
        raise click.UsageError("give session ids, or --subject")
    if unknown and not subject:
        raise click.UsageError("--unknown goes with --subject")
    if subject:
        _revoke_subject(subject, unknown, wait, as_json, where)
    else:
        _revoke_sessions(session_ids, wait, as_json, where)


def _revoke_subject(user: str, unknown: bool, wait: bool, as_json: bool, where: dict[str, str | None]) -> None:
    async def work(deployment: Deployment) -> str:
        subject = user if unknown else await deployment.subject(user)
        await deployment.revocation.revoke_subject(subject, wait=wait)
        return subject

    subject = run(work, **where)
    answer({"subject": {"id": subject}}, as_json=as_json, text=f"ended all sessions of {printable(subject)}")


def _revoke_sessions(session_ids: tuple[str, ...], wait: bool, as_json: bool, where: dict[str, str | None]) -> None:
    async def work(deployment: Deployment) -> tuple[list[str], list[str]]:
        ended: list[str] = []
        missing: list[str] = []
        for place, session_id in enumerate(session_ids, 1):
            # One bound for all of them: it runs from the last one.
            found = await deployment.revocation.revoke(session_id, wait=wait and place == len(session_ids))
            (ended if found else missing).append(session_id)
        return ended, missing

    ended, missing = run(work, **where)
    answer(
        {"revoked": ended, "not_found": missing},
        as_json=as_json,
        text="\n".join(f"ended {session_id}" for session_id in ended),
    )
    if missing:
        names = ", ".join(printable(session_id) for session_id in missing)
        raise NotFound(f"no live session here: {names}; what may still be about of it is refused from now on")


def as_session(session: Session) -> dict[str, Any]:
    """A session as the HTTP API shows it."""
    return {
        "id": session.id,
        "mode": session.mode.value,
        "amr": list(session.amr),
        "created_at": timestamp(session.created),
        "last_seen_at": timestamp(session.seen),
        "idle_expires_at": timestamp(session.idle_deadline),
        "expires_at": timestamp(session.absolute_deadline),
        "device": {
            "user_agent": session.device.user_agent,
            "ip": session.device.ip,
            "label": session.device.label,
        },
    }


def _row(session: Session) -> tuple[str, ...]:
    device = session.device.label or session.device.user_agent or "-"
    expires = timestamp(min(session.idle_deadline, session.absolute_deadline))
    seen = timestamp(session.seen)
    return session.id, session.mode.value, timestamp(session.created), seen, expires, device[:60]
