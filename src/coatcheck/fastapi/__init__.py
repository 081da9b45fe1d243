"""FastAPI: ``mount_auth(app)``, and ``user: CurrentUser`` in a path operation.

All that an application needs is here. Whoever only verifies, with ``FastAPI(lifespan=auth.lifespan)``, loads nothing of
the service: `mount_auth` and its kin are loaded when they are asked for. Importing this changes nothing of FastAPI's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..accounts import Proof
from ..adapters.connections import Ending, guard_websocket, guarded, guarded_events
from ..auth import Auth
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
from ..issuer import Credentials
from ..lazily import lazily
from ..model import Device, Identity, Mode, Profile, Session, SubjectFacts
from ..policy import Lifetimes, Policy
from ..remote import RemoteVerifier
from ..site import Site
from ..subjects import ApplicationSubjects, Login, UserSource
from .attaching import attach
from .dependencies import (
    CurrentUser,
    OptionalUser,
    Refusal,
    auth_of,
    current_user,
    fresh,
    lifespans,
    on_refusal,
    optional_user,
    requires,
)

if TYPE_CHECKING:
    from ..adapters.visits import page_for
    from ..features.former.trading import Former, TradeIn, trade_in
    from ..service.app import auth_app
    from ..starlette.middleware import AuthMiddleware
    from ..web.delivery import deliver
    from .mounting import mount_auth

__all__ = [
    "ApplicationSubjects",
    "AttemptOver",
    "Auth",
    "AuthMiddleware",
    "CoatcheckError",
    "ConfigurationError",
    "Conflict",
    "Credentials",
    "CurrentUser",
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
    "OptionalUser",
    "Policy",
    "Profile",
    "Proof",
    "Refusal",
    "Rejected",
    "RemoteVerifier",
    "Session",
    "Site",
    "StepRequired",
    "StoreUnavailable",
    "SubjectFacts",
    "Throttled",
    "TradeIn",
    "UserSource",
    "attach",
    "auth_app",
    "auth_of",
    "current_user",
    "deliver",
    "fresh",
    "guard_websocket",
    "guarded",
    "guarded_events",
    "lifespans",
    "mount_auth",
    "on_refusal",
    "optional_user",
    "page_for",
    "requires",
    "trade_in",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "coatcheck.fastapi.mounting": ("mount_auth",),
        "coatcheck.starlette.middleware": ("AuthMiddleware",),
        "coatcheck.web.delivery": ("deliver",),
        "coatcheck.service.app": ("auth_app",),
        "coatcheck.adapters.visits": ("page_for",),
        "coatcheck.features.former.trading": ("Former", "TradeIn", "trade_in"),
    },
)
