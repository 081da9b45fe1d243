"""The names of what the core tells of: the one list. A feature declares its own beside it."""

from __future__ import annotations

from typing import Final

from .events import Act

LOGIN_PROVED: Final = Act("login.proved", "a password was right", details=("email",))
LOGIN_REFUSED: Final = Act(
    "login.refused", "it was not, or was not looked at (`throttled`)", refused=True, details=("reason", "email")
)

STEP_REQUIRED: Final = Act(
    "login.step_required", "a password was right, and the subject has a second factor", details=("methods",)
)
STEP_PASSED: Final = Act("login.step_passed", "a second factor was right", details=("method",))

SESSION_STARTED: Final = Act("session.started", "a login was completed", details=("mode", "kind", "client", "actor"))
SESSION_REFRESHED: Final = Act("session.refreshed", "a refresh token was exchanged", details=("mode",))
SESSION_ENDED: Final = Act(
    "session.ended", "logout, a device, one that was replaced; `reason` where nobody asked for it", details=("reason",)
)
SUBJECT_CUT_OFF: Final = Act(
    "subject.cut_off",
    "all sessions of a subject were ended; `excepted` names one that was not, `spared` the kinds",
    details=("excepted", "spared"),
)
SUBJECT_CHANGED: Final = Act("subject.changed", "roles, claims or status count from now on")
REFRESH_REFUSED: Final = Act(
    "refresh.refused", "the token is forged, ended, of another mode, or reused", refused=True, details=("reason",)
)
REFRESH_REUSED: Final = Act(
    "refresh.reused", "somebody has a copy of a refresh token, so the session was ended", refused=True
)
TOKEN_REVOKED: Final = Act("token.revoked", "one access token was ended", details=("token_id",))
CREDENTIAL_REFUSED: Final = Act(
    "credential.refused", "a session cookie or access token, when it was first seen", details=("reason", "carrier")
)
CONNECTION_ENDED: Final = Act(
    "connection.ended", "a WebSocket or stream ended with its session", details=("reason",)
)  # fmt: skip

ACCOUNT_REGISTERED: Final = Act("account.registered", "somebody made an account", details=("email",))
ACCOUNT_REFUSED: Final = Act(
    "account.refused", "the address is taken, there were too many, or there is no invitation", refused=True,
    details=("reason", "email"),
)  # fmt: skip
ACCOUNT_INVITED: Final = Act("account.invited", "an invitation was made", details=("email", "roles"))
ACCOUNT_ADOPTED: Final = Act("account.adopted", "an account was imported with its hash", details=("email",))
ACCOUNT_ROLES: Final = Act("account.roles_set", "its roles were replaced", details=("roles",))
ACCOUNT_DISABLED: Final = Act("account.disabled", "every login of it is refused")
ACCOUNT_ENABLED: Final = Act("account.enabled", "it may log in again")
PASSWORD_CHANGED: Final = Act("password.changed", "by its owner")
PASSWORD_SET: Final = Act("password.set", "by an operator, or by code of the application")

FORMER_TRADED: Final = Act("former.traded_in", "a login of another system was exchanged")
FORMER_REFUSED: Final = Act("former.refused", "it was not", details=("reason",))

ADMIN_REFUSED: Final = Act(
    "admin.refused", "somebody who is no administrator, or nobody, called an administrator's route", refused=True,
    details=("reason", "method", "route"),
)  # fmt: skip
SERVICE_KEY_REFUSED: Final = Act(
    "service_key.refused", "none or a wrong one where one is needed", refused=True,
    details=("reason", "method", "route"),
)  # fmt: skip
CROSS_SITE_REFUSED: Final = Act(
    "cross_site.refused", "a change came from another site, or did not show that it did not", refused=True,
    details=("method", "route"),
)  # fmt: skip

KEY_ADDED: Final = Act("key.added", "a signing key was made", details=("kid", "algorithm"))
KEY_WITHDRAWN: Final = Act("key.withdrawn", "a signing key was removed at once", refused=True, details=("kid",))

ACTS: Final = tuple(thing for thing in list(globals().values()) if isinstance(thing, Act))
"""All of them, in this order."""
