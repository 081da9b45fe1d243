"""Flask: ``mount_auth(app)``, and then ``@login_required`` and ``current_user()``.

All that an application needs is here. Whoever only verifies, with `Coatcheck`, loads nothing of the service:
`mount_auth` and its kin are loaded when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..accounts import Proof
from ..adapters.connections import Ending, guarded, guarded_events
from ..blocking import Auth, RemoteVerifier
from ..errors import (
    AttemptOver,
    CoatcheckError,
    ConfigurationError,
    Conflict,
    Forbidden,
    InvalidCredential,
    InvalidLogin,
    InvalidStep,
    LoginTooOld,
    NotFound,
    NotLoggedIn,
    Rejected,
    StepRequired,
    StoreUnavailable,
    Throttled,
)
from ..extras import module_needs
from ..issuer import Credentials
from ..lazily import lazily
from ..model import Device, Identity, Mode, Profile, Session, SubjectFacts
from ..policy import Lifetimes, Policy
from ..site import Site
from ..subjects import ApplicationSubjects, Login, UserSource

with module_needs("coatcheck.flask", "flask"):
    from .views import (
        Coatcheck,
        auth_of,
        csrf_token,
        current_user,
        exempt,
        fresh,
        login_required,
        optional_user,
        requires,
    )

if TYPE_CHECKING:
    from ..features.former.trading import Former
    from .mounting import auth_blueprint, deliver, mount_auth, trade_in_visits

__all__ = [
    "ApplicationSubjects",
    "AttemptOver",
    "Auth",
    "Coatcheck",
    "CoatcheckError",
    "ConfigurationError",
    "Conflict",
    "Credentials",
    "Device",
    "Ending",
    "Forbidden",
    "Former",
    "Identity",
    "InvalidCredential",
    "InvalidLogin",
    "InvalidStep",
    "Lifetimes",
    "Login",
    "LoginTooOld",
    "Mode",
    "NotFound",
    "NotLoggedIn",
    "Policy",
    "Profile",
    "Proof",
    "Rejected",
    "RemoteVerifier",
    "Session",
    "Site",
    "StepRequired",
    "StoreUnavailable",
    "SubjectFacts",
    "Throttled",
    "UserSource",
    "auth_blueprint",
    "auth_of",
    "csrf_token",
    "current_user",
    "deliver",
    "exempt",
    "fresh",
    "guarded",
    "guarded_events",
    "login_required",
    "mount_auth",
    "optional_user",
    "requires",
    "trade_in_visits",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "coatcheck.flask.mounting": ("auth_blueprint", "deliver", "mount_auth", "trade_in_visits"),
        "coatcheck.features.former.trading": ("Former",),
    },
)
