"""From a proved password to credentials, with what the request says about the device."""

from __future__ import annotations

import logging
from typing import Final

from ..adapters.asgi import Scope, header, names_of, origin_of
from ..auth import Auth
from ..credentials.cookies import CookieNames
from ..credentials.csrf import Provenance, provenance
from ..credentials.transport import Carrier, Credential, collect, cookie, find_credential
from ..errors import Conflict, InvalidCredential, InvalidLogin, MalformedCredential
from ..issuer import Credentials
from ..model import Device, Mode
from .delivery import require_cookies
from .refusals import MODE_NOT_ALLOWED, Refusal

log = logging.getLogger("coatcheck.service")

MAX_USER_AGENT: Final = 256
"""Characters of a user agent that are kept."""


def client_ip(scope: Scope) -> str:
    """The client's address as the server knows it; a proxy's word counts only if the server was told to trust it."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def device_of(scope: Scope, label: str = "") -> Device:
    """Where a request comes from. What cannot be printed is left out of the user agent."""
    text = header(scope, b"user-agent").decode("latin-1")
    agent = "".join(char for char in text if char.isprintable())[:MAX_USER_AGENT]
    return Device(user_agent=agent, ip=client_ip(scope), label=label)


def chosen_mode(auth: Auth, scope: Scope, name: str | None) -> Mode:
    """The mode asked for, or the policy's first. Raises `Refusal` when policy or transport do not allow it, before
    anything is created."""
    mode = auth.policy.modes[0] if name is None else Mode(name)
    if mode not in auth.policy.modes:
        raise Refusal(MODE_NOT_ALLOWED)
    require_cookies(scope, mode)
    return mode


async def log_in(
    auth: Auth, scope: Scope, subject: str, *, mode: Mode, epoch: int | None, remember: bool = False, label: str = ""
) -> Credentials:
    """Make the session. When the browser had one of the same subject and mode, that one ends: a login never adds a
    second session to one browser (OWASP ASVS 7.2.4). Raises `InvalidLogin` also when the login lost a race against a
    password change or a logout everywhere."""
    device = device_of(scope, label)
    try:
        credentials = await auth.login(subject, mode=mode, epoch=epoch, remember=remember, device=device)
    except Conflict as error:
        raise InvalidLogin("sessions were ended while the password was checked") from error
    if provenance(scope["headers"], origin_of(scope), auth.policy.origins) is Provenance.OWN:
        await _end_previous(auth, scope, credentials)
    return credentials


async def _end_previous(auth: Auth, scope: Scope, credentials: Credentials) -> None:
    new = credentials.session
    for session_id in sessions_named(auth, [item for item in presented(scope) if item.carrier.is_cookie]):
        standing = await auth.sessions.find(session_id, now=auth.clock.now())
        if standing is None or standing.session.subject != new.subject or standing.session.mode is not new.mode:
            continue
        await auth.revoke(session_id)


def presented(scope: Scope) -> list[Credential]:
    """Every credential that a request presents, in form only; also a cookie that is there twice, where `identify`
    refuses to choose. For ending sessions, which is right for all of them, and for nothing else."""
    found = []
    try:
        authorization, cookies = collect(scope["headers"])[:2]
        credential = find_credential(authorization, None, None)
        if credential is not None:
            found.append(credential)
    except MalformedCredential:
        cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
    names = names_of(scope)
    return found if names is None else found + _cookies(cookies or b"", names)


def _cookies(text: bytes, names: CookieNames) -> list[Credential]:
    carriers = {names.session: Carrier.SESSION_COOKIE, names.access: Carrier.ACCESS_COOKIE}
    found = []
    for part in text.split(b";"):
        name, _, token = part.decode("latin-1").strip(" \t").partition("=")
        if name in carriers:
            found.append(cookie(carriers[name], name, token))
    return found


def sessions_named(auth: Auth, credentials: list[Credential]) -> list[str]:
    """The sessions that genuine ones among these name, each once, whether or not they are still live."""
    found = []
    for credential in credentials:
        try:
            found.append(auth.verifier.session_id_of(credential))
        except InvalidCredential as error:
            log.info("credential refused", extra={"reason": error.reason, "carrier": credential.carrier.value})
    return list(dict.fromkeys(found))
