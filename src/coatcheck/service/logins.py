"""From a proved password to credentials, with what the request says about the device."""

from __future__ import annotations

import logging

from ..adapters.doubts import tell
from ..auth import Auth
from ..credentials.arrival import Arrival
from ..credentials.csrf import Provenance
from ..credentials.transport import Credential
from ..errors import Conflict, InvalidCredential, InvalidLogin
from ..issuer import Credentials
from ..model import Mode
from .delivery import require_cookies
from .refusals import MODE_NOT_ALLOWED, Refusal

log = logging.getLogger("coatcheck.service")


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
    """Make the session. When the browser had one of the same subject and mode, that one ends: a login never adds a
    second session to one browser (OWASP ASVS 7.2.4). Raises `InvalidLogin` also when the login lost a race against a
    password change or a logout everywhere."""
    try:
        credentials = await auth.login(
            subject, mode=mode, epoch=epoch, remember=remember, device=arrival.device(label)
        )  # fmt: skip
    except Conflict as error:
        raise InvalidLogin("sessions were ended while the password was checked") from error
    if arrival.provenance(auth.policy.origins) is Provenance.OWN:
        await _end_previous(auth, arrival, credentials)
    return credentials


async def _end_previous(auth: Auth, arrival: Arrival, credentials: Credentials) -> None:
    new = credentials.session
    for session_id in sessions_named(auth, arrival.held()):
        standing = await auth.sessions.find(session_id, now=auth.clock.now())
        if standing is None or standing.session.subject != new.subject or standing.session.mode is not new.mode:
            continue
        await auth.revoke(session_id)


def sessions_named(auth: Auth, credentials: list[Credential]) -> list[str]:
    """The sessions that genuine ones among these name, each once, whether or not they are still live."""
    found = []
    for credential in credentials:
        try:
            found.append(auth.verifier.session_id_of(credential))
        except InvalidCredential as error:
            log.info("credential refused", extra={"reason": error.reason, "carrier": credential.carrier.value})
    return list(dict.fromkeys(found))
