"""Plain WSGI, and any framework on it: what an adapter of one's own is made of, and the service as an application.

Nothing of the service is loaded before `WsgiAuthApp` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .accounts import Proof
from .adapters.connections import Ending, guarded, guarded_events
from .adapters.demands import LOGGED_IN, Demand, fresh, requires
from .adapters.problems import CONTENT_TYPE, Problem, problem_of
from .adapters.wsgi import FORM_FIELD, BlockingKnower, Environ, identify, identify_leniently, recognise, scope_of
from .blocking import Auth, RemoteVerifier
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
from .site import Site
from .subjects import ApplicationSubjects, Login, UserSource

if TYPE_CHECKING:
    from .service.wsgi import WsgiAuthApp

__all__ = [
    "CONTENT_TYPE",
    "FORM_FIELD",
    "LOGGED_IN",
    "ApplicationSubjects",
    "AttemptOver",
    "Auth",
    "BlockingKnower",
    "CoatcheckError",
    "ConfigurationError",
    "Conflict",
    "Credentials",
    "Demand",
    "Device",
    "Ending",
    "Environ",
    "Forbidden",
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
    "Problem",
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
    "WsgiAuthApp",
    "fresh",
    "guarded",
    "guarded_events",
    "identify",
    "identify_leniently",
    "problem_of",
    "recognise",
    "requires",
    "scope_of",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "coatcheck.service.wsgi": ("WsgiAuthApp",),
    },
)
