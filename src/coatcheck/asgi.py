"""Plain ASGI, and any framework on it: `AuthMiddleware`, and what an adapter of one's own is made of.

``scope[IDENTITY]`` is who is asking. Nothing of the service is loaded before `auth_app` and its kin are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .accounts import Proof
from .adapters.asgi import (
    IDENTITY,
    ASGIApp,
    AuthMiddleware,
    GuardingKnower,
    Knower,
    Message,
    Receive,
    Scope,
    Send,
    check_origin,
    identify,
    identify_leniently,
    recognise,
    refuse,
)
from .adapters.connections import Ending, guard_websocket, guarded, guarded_events, serve_guarded
from .adapters.demands import LOGGED_IN, Demand, fresh, requires
from .adapters.lifespans import lifespans
from .adapters.problems import CONTENT_TYPE, Problem, problem_of
from .auth import Auth
from .errors import (
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
from .issuer import Credentials
from .lazily import lazily
from .model import Device, Identity, Mode, Profile, Session, SubjectFacts
from .policy import Lifetimes, Policy
from .remote import RemoteVerifier
from .site import Site
from .subjects import ApplicationSubjects, Login, UserSource

if TYPE_CHECKING:
    from .adapters.visits import page_for
    from .features.former.trading import Former, TradeIn, trade_in
    from .service.app import auth_app
    from .service.bridge import Answered, answer
    from .web.delivery import cookies, deliver, login_answer

__all__ = [
    "CONTENT_TYPE",
    "IDENTITY",
    "LOGGED_IN",
    "ASGIApp",
    "Answered",
    "ApplicationSubjects",
    "AttemptOver",
    "Auth",
    "AuthMiddleware",
    "CoatcheckError",
    "ConfigurationError",
    "Conflict",
    "Credentials",
    "Demand",
    "Device",
    "Ending",
    "Forbidden",
    "Former",
    "GuardingKnower",
    "Identity",
    "InvalidCredential",
    "InvalidLogin",
    "InvalidStep",
    "Knower",
    "Lifetimes",
    "Login",
    "LoginTooOld",
    "Message",
    "Mode",
    "NotFound",
    "NotLoggedIn",
    "Policy",
    "Problem",
    "Profile",
    "Proof",
    "Receive",
    "Rejected",
    "RemoteVerifier",
    "Scope",
    "Send",
    "Session",
    "Site",
    "StepRequired",
    "StoreUnavailable",
    "SubjectFacts",
    "Throttled",
    "TradeIn",
    "UserSource",
    "answer",
    "auth_app",
    "check_origin",
    "cookies",
    "deliver",
    "fresh",
    "guard_websocket",
    "guarded",
    "guarded_events",
    "identify",
    "identify_leniently",
    "lifespans",
    "login_answer",
    "page_for",
    "problem_of",
    "recognise",
    "refuse",
    "requires",
    "serve_guarded",
    "trade_in",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "coatcheck.web.delivery": ("cookies", "deliver", "login_answer"),
        "coatcheck.service.app": ("auth_app",),
        "coatcheck.adapters.visits": ("page_for",),
        "coatcheck.features.former.trading": ("Former", "TradeIn", "trade_in"),
        "coatcheck.service.bridge": ("Answered", "answer"),
    },
)
