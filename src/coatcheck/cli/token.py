"""``coatcheck token``: look into a credential without presenting it.

Nothing is changed: a refresh token is not exchanged, a session's idle time does not move, and the token itself is never
printed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click

from .. import decide
from ..credentials import jwt
from ..credentials.opaque import REFRESH_PREFIX, SESSION_PREFIX, OpaqueTokens
from ..errors import ConfigurationError, InvalidCredential, StoreUnavailable
from ..model import EventKind, Mode, Session, Standing
from .deployment import Deployment, json_option, run, store_options
from .output import answer, printable, timestamp
from .sessions import as_session

_TIMES = ("iat", "exp", "auth_time", "nbf")


@dataclass
class Report:
    """What was found. Checks that were not reached are not in it."""

    kind: str
    checks: list[dict[str, Any]] = field(default_factory=list)
    claims: dict[str, Any] | None = None
    session: Session | None = None

    @property
    def refused(self) -> str | None:
        """Why it would be refused, None when it would not."""
        return next((check["detail"] for check in self.checks if not check["ok"]), None)

    def passed(self, name: str, detail: str = "") -> None:
        self.checks.append({"check": name, "ok": True, "detail": detail})

    @contextmanager
    def check(self, name: str) -> Iterator[None]:
        """The block is one check; it fails when the block raises `InvalidCredential`, which goes on."""
        try:
            yield
        except InvalidCredential as error:
            self.checks.append({"check": name, "ok": False, "detail": error.reason})
            raise
        self.passed(name)


@click.group("token", short_help="Look into a token and say whether it would be accepted.")
def command() -> None:
    """Tokens: session (ccs_…), refresh (ccr_…) and access tokens (JWT)."""


@command.command("inspect")
@click.argument("token", default="-")
@store_options
@json_option
def inspect(token: str, as_json: bool, **where: str | None) -> None:
    """Decode TOKEN and say whether it would be accepted now, and if not, why.

    Without TOKEN, or with "-", it is read from standard input, which keeps it out of the shell's history. Needs the
    database and the secret; without them an access token is only decoded. Exit code 0: would be accepted. 1: refused.

    \b
    coatcheck token inspect < token.txt
    wl-paste | coatcheck token inspect --json
    """
    text = _read(token)
    report = _decoded(text)
    trouble: ConfigurationError | StoreUnavailable | None = None
    try:
        run(lambda deployment: _examine(deployment, text, report), **where)
    except (ConfigurationError, StoreUnavailable) as error:
        trouble = error
    accepted = None if trouble and not report.refused else report.refused is None
    answer(_as_json(report, accepted), as_json=as_json, text=_as_text(report, accepted))
    if accepted is None and trouble is not None:
        raise trouble
    if not accepted:
        sys.exit(1)


def _read(token: str) -> str:
    if token != "-":
        return token.strip()
    if sys.stdin.isatty():
        prompted: str = click.prompt("Token", hide_input=True, err=True)
        return prompted.strip()
    return sys.stdin.read(1 << 16).strip()


def _decoded(token: str) -> Report:
    if token.startswith(SESSION_PREFIX):
        return Report("session")
    if token.startswith(REFRESH_PREFIX):
        return Report("refresh")
    found = jwt.inspect(token)
    if found.payload is None:
        report = Report("unknown")
        report.checks.append({"check": "form", "ok": False, "detail": "not a session, refresh or access token"})
        return report
    report = Report("access", claims=found.payload)
    if found.problems:
        report.checks.append({"check": "form", "ok": False, "detail": "; ".join(found.problems)})
    return report


async def _examine(deployment: Deployment, token: str, report: Report) -> None:
    if report.refused:
        return
    try:
        if report.kind == "access":
            await _examine_access(deployment, token, report)
        elif report.kind == "session":
            await _examine_session(deployment, token, report)
        else:
            await _examine_refresh(deployment, token, report)
    except InvalidCredential as error:
        if not report.refused:
            raise AssertionError("every refusal is a check") from error


async def _examine_access(deployment: Deployment, token: str, report: Report) -> None:
    await deployment.keys.load()
    now = deployment.clock.now()
    with report.check("signature"):
        claims = deployment.access_tokens.read(token, now=now)
    with report.check("claims"):
        mode = claims.mode.removesuffix(decide.MORE)
        if mode not in (Mode.JWT, Mode.JWT_COOKIE):
            raise InvalidCredential("its mode has no access tokens")
        policy = deployment.settings.policy
        decide.check_access(claims, policy, Mode(mode), now)
        decide.check_admitted(decide.access_of(claims, policy), policy)
    standing = await _standing(deployment, claims.sid, report)
    with report.check("subject"):
        if standing.session.subject != claims.sub:
            raise InvalidCredential("its session is another subject's")
        decide.check_standing(claims, standing)
    with report.check("not revoked"):
        read = await deployment.sessions.events(None, wait=0)
        if any(event.kind is EventKind.TOKEN_REVOKED and event.token_id == claims.jti for event in read.events):
            raise InvalidCredential("this one token was revoked")


async def _examine_session(deployment: Deployment, token: str, report: Report) -> None:
    with report.check("signature"):
        session_id = OpaqueTokens(deployment.secrets()).read_session_token(token)
    standing = await _standing(deployment, session_id, report)
    with report.check("mode"):
        if standing.session.mode is not Mode.SESSION:
            raise InvalidCredential("its session is of a mode without session tokens")
    await _examine_account(deployment, standing.session.subject, report)


async def _examine_refresh(deployment: Deployment, token: str, report: Report) -> None:
    with report.check("signature"):
        session_id, generation = OpaqueTokens(deployment.secrets()).read_refresh_token(token)
    session = (await _standing(deployment, session_id, report)).session
    with report.check("mode"):
        if session.mode is Mode.SESSION:
            raise InvalidCredential("its session is of a mode without refresh tokens")
    age = deployment.clock.now() - session.rotated
    with report.check("generation"):
        if generation > session.generation:
            raise InvalidCredential("its generation was never handed out")
        inside = generation == session.generation - 1 and age <= deployment.settings.policy.reuse_window
        if generation < session.generation and not inside:
            raise InvalidCredential("it was exchanged before; presenting it again would end the session")
    await _examine_account(deployment, session.subject, report)


async def _standing(deployment: Deployment, session_id: str, report: Report) -> Standing:
    with report.check("session"):
        standing = await deployment.sessions.find(session_id, now=deployment.clock.now())
        if standing is None:
            raise InvalidCredential(f"its session {session_id} is not live: ended, or past one of its deadlines")
    report.session = standing.session
    return standing


async def _examine_account(deployment: Deployment, subject: str, report: Report) -> None:
    account = await deployment.account_of(subject)
    if account is None:
        report.passed("account", "none here: the application decides")
        return
    with report.check("account"):
        if account.disabled:
            raise InvalidCredential("its account is disabled")


def _as_json(report: Report, accepted: bool | None) -> dict[str, Any]:
    session = report.session
    return {
        "kind": report.kind,
        "accepted": accepted,
        "reason": report.refused,
        "checks": report.checks,
        "claims": report.claims,
        "subject": None if session is None else session.subject,
        "session": None if session is None else as_session(session),
    }


def _as_text(report: Report, accepted: bool | None) -> str:
    words = {True: "accepted", False: f"refused: {report.refused}", None: "not known: only decoded"}
    lines = [("kind", report.kind), ("verdict", words[accepted])]
    lines += [(f"  {check['check']}", _shown(check)) for check in report.checks]
    if report.session is not None:
        shown = as_session(report.session)
        lines += [("subject", report.session.subject), ("session", shown["id"]), ("  mode", shown["mode"])]
        lines += [(f"  {name}", shown[name]) for name in ("created_at", "idle_expires_at", "expires_at")]
    if report.claims is not None:
        lines.append(("claims", "" if accepted else "as the token says, which proves nothing"))
        lines += [(f"  {name}", _claim(name, value)) for name, value in report.claims.items()]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{printable(name).ljust(width)}  {printable(text)}".rstrip() for name, text in lines)


def _shown(check: dict[str, Any]) -> str:
    return " ".join(part for part in ("ok" if check["ok"] else "FAILED", check["detail"]) if part)


def _claim(name: str, value: object) -> str:
    if name in _TIMES and isinstance(value, int) and 0 <= value < 253_402_300_800:
        return f"{value} ({timestamp(value)})"
    return value if isinstance(value, str) else repr(value)
