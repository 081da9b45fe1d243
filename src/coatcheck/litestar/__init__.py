"""Litestar: ``Litestar([...], plugins=[ServicePlugin()])``, and ``user: CurrentUser`` in a handler.

All that an application needs is here. Whoever only verifies, with `CoatcheckPlugin`, loads nothing of the service:
`ServicePlugin` and its kin are loaded when they are asked for.
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
from ..extras import module_needs
from ..issuer import Credentials
from ..lazily import lazily
from ..model import Device, Identity, Mode, Profile, Session, SubjectFacts
from ..policy import Lifetimes, Policy
from ..remote import RemoteVerifier
from ..site import Site
from ..subjects import ApplicationSubjects, Login, UserSource

with module_needs("coatcheck.litestar", "litestar"):
    from .plugin import (
        AuthMiddleware,
        CoatcheckPlugin,
        CurrentUser,
        DemandGuard,
        OptionalUser,
        auth_of,
        current_user,
        fresh,
        logged_in,
        on_refusal,
        optional_user,
        requires,
    )

if TYPE_CHECKING:
    from ..adapters.visits import page_for
    from ..features.former.trading import Former, TradeIn, trade_in
    from .mounting import ServicePlugin, auth_routes, deliver, on_service_refusal

__all__ = [
    "ApplicationSubjects",
    "AttemptOver",
    "Auth",
    "AuthMiddleware",
    "CoatcheckError",
    "CoatcheckPlugin",
    "ConfigurationError",
    "Conflict",
    "Credentials",
    "CurrentUser",
    "DemandGuard",
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
    "Rejected",
    "RemoteVerifier",
    "ServicePlugin",
    "Session",
    "Site",
    "StepRequired",
    "StoreUnavailable",
    "SubjectFacts",
    "Throttled",
    "TradeIn",
    "UserSource",
    "auth_of",
    "auth_routes",
    "current_user",
    "deliver",
    "fresh",
    "guard_websocket",
    "guarded",
    "guarded_events",
    "logged_in",
    "on_refusal",
    "on_service_refusal",
    "optional_user",
    "page_for",
    "requires",
    "trade_in",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "coatcheck.litestar.mounting": ("ServicePlugin", "auth_routes", "deliver", "on_service_refusal"),
        "coatcheck.adapters.visits": ("page_for",),
        "coatcheck.features.former.trading": ("Former", "TradeIn", "trade_in"),
    },
)
