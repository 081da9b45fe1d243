"""From a proved password to credentials, with what the request says about the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..adapters.asgi import arrival_of
from ..adapters.doubts import tell
from ..adapters.lifespans import auth_of
from ..auth import Auth
from ..credentials.arrival import Arrival
from ..errors import AttemptOver, Conflict, InvalidLogin
from ..issuer import Credentials
from ..model import Mode
from . import delivery
from .bodies import FORM, answer_json, content_type
from .delivery import require_cookies
from .refusals import MODE_NOT_ALLOWED, Refusal
from .replaced import replaced, sessions_named


def chosen_mode(auth: Auth, arrival: Arrival, name: str | None) -> Mode:
    """The mode asked for, or the policy's first. Raises `Refusal` when policy or transport do not allow it, before
    anything is created."""
    mode = auth.policy.modes[0] if name is None else Mode(name)
    if mode not in auth.policy.modes:
        raise Refusal(MODE_NOT_ALLOWED)
    if mode is not Mode.JWT:
        tell(auth, arrival, refused=True)
    require_cookies(arrival, mode)
    return mode


async def log_in(
    auth: Auth, arrival: Arrival, subject: str, *, mode: Mode, epoch: int | None, remember: bool = False,
    label: str = "",
) -> Credentials:  # fmt: skip
    """Make the session. What the browser had ends, see `replaced`. Raises `InvalidLogin` also when it lost a race
    against a password change or a logout everywhere, and `StepRequired` where more is required."""
    device = arrival.device(auth.policy.trusted_proxies, label)
    try:
        credentials = await auth.login(subject, mode=mode, epoch=epoch, remember=remember, device=device)
    except Conflict as error:
        raise InvalidLogin("sessions were ended while the password was checked") from error
    for session_id in replaced(auth, arrival, credentials):
        await auth.revoke(session_id)
    return credentials


async def finish(
    auth: Auth, arrival: Arrival, attempt: str, *, method: str, code: str = "",
    credential: Mapping[str, Any] | None = None,
) -> Credentials:  # fmt: skip
    """Go on with a login. What the browser had ends. Raises as `Auth.finish_login`; `AttemptOver` also where another
    session than the browser's would be renewed."""
    renewed = auth.attempts.renewed_by(attempt)
    if renewed and renewed not in sessions_named(auth, arrival.everything()):
        raise AttemptOver("the session to be renewed is not this browser's")
    trusted = auth.policy.trusted_proxies
    credentials = await auth.finish_login(
        attempt, method=method, code=code, credential=credential, device=arrival.device(trusted),
        ip=arrival.client(trusted),
    )  # fmt: skip
    for session_id in replaced(auth, arrival, credentials):
        await auth.revoke(session_id)
    return credentials


async def email_of(auth: Auth, subject: str) -> str | None:
    """The subject's address, None where the application keeps its own users and does not tell."""
    return await auth.logins.email_of(subject) if auth.has_logins else None


def login_response(
    request: Request, credentials: Credentials, email: str | None, status: int = 200, *, renewed: bool = False
) -> Response:
    """The answer to a login: body and cookies. ``renewed`` as in `delivery.cookies`."""
    response = answer_json(delivery.login_answer(credentials, email), status)
    return delivery.delivered(
        response, request.scope, credentials, auth_of(request).policy.origins, renewed=renewed
    )  # fmt: skip


def is_form_of_a_browser(request: Request) -> bool:
    """Whether a form was sent, in a page of whoever. A program with a bearer token sends none, whatever it calls its
    body."""
    return content_type(request) == FORM and not arrival_of(request.scope).by_bearer


def is_form_of_ours(request: Request) -> bool:
    """Whether a form of the pages was sent: it gets a page back."""
    return content_type(request) == FORM and bool(request.app.state.pages)
