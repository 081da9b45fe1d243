"""A form that is sent twice, by a double click or by impatience, makes one session and one account. Without any script.

Every form that makes a session has a value of its own, which a browser sends as often as it sends the form. Whoever is
first with it makes the session, under an id that follows from the value; whoever comes with it again within
`Policy.reuse_window`, in whichever process, and proves the same, gets what the first one got. So it does not matter
which of the answers the browser shows. Later the form logs in as ever.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

from ..accounts.throttle import Counters
from ..auth import Auth
from ..credentials.arrival import Arrival
from ..errors import ConfigurationError, Conflict, InvalidCredential, InvalidLogin
from ..issuer import Credentials
from ..model import Mode
from .logins import log_in
from .replaced import replaced

LIFETIME: Final = 86400.0
"""Seconds for which a form is known to have been sent; an older one logs in as if it had no value."""
_SKEW: Final = 1.0
"""Seconds that another process's clock may be ahead."""
_PAUSE: Final = 0.05
_PAUSES: Final = 40
"""How often, and seconds how far apart, whoever comes second looks for what the first one makes: 2 s. The password was
checked before, so there is one insertion to wait for."""


def new_value(auth: Auth) -> str:
    """For the hidden field ``once`` of a form."""
    return auth.opaque.form_value(auth.clock.now())


def may_have_made(auth: Auth, value: str, *, created: float) -> bool:
    """Whether what was made at ``created`` (seconds since the epoch) was made in the last moments, and after this form
    of ours was handed out."""
    now = auth.clock.now()
    if not _is_fresh(auth, value, now) or now - created > auth.policy.reuse_window:
        return False
    return created + _SKEW >= auth.opaque.read_form_value(value)


async def _sent_before(auth: Auth, value: str, subject: str) -> bool | None:
    """Count a form of somebody who has proved who they are, and say whether they sent it in the last moments. False for
    the first time; None where it cannot be told, which is also later than that."""
    counters, key, now = _counters(auth), _key(value, subject), auth.clock.now()
    if counters is None or not _is_fresh(auth, value, now):
        return None
    if await counters.count_failure(key, now=now, window=2 * LIFETIME) == 1:
        return False
    [(_, ends)] = await counters.failures([key], now=now)
    return True if now - (ends - 2 * LIFETIME) <= auth.policy.reuse_window else None


async def log_in_once(
    auth: Auth, arrival: Arrival, subject: str, *, value: str, epoch: int | None, remember: bool = False
) -> Credentials:
    """`log_in` in mode ``session``, with the form's value. Raises as that does."""
    await auth.attempts.check(
        subject, epoch=epoch, amr=("pwd",), at=None, mode=Mode.SESSION, remember=remember, label=""
    )  # fmt: skip
    before = await _sent_before(auth, value, subject)
    if before is None:
        return await log_in(auth, arrival, subject, mode=Mode.SESSION, epoch=epoch, remember=remember)
    session_id = auth.opaque.session_of_form(value, subject)
    credentials = await _made(auth, session_id, subject) if before else None
    if credentials is None:
        # Whoever was first has failed, or has logged out since: an id is never used again.
        device = arrival.device(auth.policy.trusted_proxies)
        try:
            credentials = await auth.issuer.login(
                subject, mode=Mode.SESSION, epoch=epoch, remember=remember, device=device,
                session_id=None if before else session_id,
            )  # fmt: skip
        except Conflict as error:
            raise InvalidLogin("sessions were ended while the password was checked") from error
    for replaced_id in replaced(auth, arrival, credentials):
        await auth.revoke(replaced_id)
    return credentials


async def _made(auth: Auth, session_id: str, subject: str) -> Credentials | None:
    """What the first one has made, or is about to make."""
    for _ in range(_PAUSES):
        found = await auth.issuer.again(session_id, subject)
        if found is not None:
            return found
        await asyncio.sleep(_PAUSE)
    return None


def _counters(auth: Auth) -> Counters | None:
    try:
        return auth.counters
    except ConfigurationError:  # sessions alone: nobody can count
        return None


def _key(value: str, by: str) -> str:
    return f"form:{hashlib.sha256(f'{value}:{by}'.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _is_fresh(auth: Auth, value: str, now: float) -> bool:
    try:
        return 0 <= now - auth.opaque.read_form_value(value) + _SKEW <= LIFETIME
    except InvalidCredential:
        return False
