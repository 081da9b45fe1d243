"""What a login takes the place of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from .. import acts
from ..auth import Auth
from ..credentials.arrival import Arrival
from ..credentials.transport import Credential
from ..errors import InvalidCredential
from ..issuer import Credentials
from ..model import Mode


def replaced(auth: Auth, arrival: Arrival, credentials: Credentials) -> list[str]:
    """The sessions that end when these credentials are handed out: those that the browser's cookies name, whosever and
    of whichever mode, for the new cookies take their place, and nobody could end them from there any more (OWASP ASVS
    7.2.4). Mode ``jwt`` takes nobody's place."""
    if credentials.session.mode is Mode.JWT:
        return []
    return [found for found in sessions_named(auth, arrival.overwritten()) if found != credentials.session.id]


def afterwards(
    before: Callable[[], Awaitable[None]] | None, auth: Auth, ending: Sequence[str]
) -> Callable[[], Awaitable[None]]:
    """What an answer does once it is sent: what it would have done in any case, and ending these sessions."""

    async def after() -> None:
        if before is not None:
            await before()
        for session_id in ending:
            await auth.revoke(session_id)

    return after


def sessions_named(auth: Auth, credentials: list[Credential]) -> list[str]:
    """The sessions that genuine ones among these name, each once, whether or not they are still live."""
    found = []
    for credential in credentials:
        try:
            found.append(auth.verifier.session_id_of(credential))
        except InvalidCredential as error:
            auth.events.emit(acts.CREDENTIAL_REFUSED, reason=error.reason, carrier=credential.carrier.value)
    return list(dict.fromkeys(found))
