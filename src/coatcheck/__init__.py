"""Coatcheck: sessions and JWTs with the same guarantees. The public names, nothing else.

Each is loaded when it is first asked for. The pytest plugin is imported in every test run where Coatcheck is installed,
and must cost nothing where no test uses it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auth import Auth
    from .credentials.transport import Credential, bearer
    from .errors import (
        CoatcheckError,
        ConfigurationError,
        Conflict,
        Forbidden,
        InvalidCredential,
        InvalidLogin,
        LimitReached,
        LoginTooOld,
        NotFound,
        NotLoggedIn,
        Rejected,
        SessionEnded,
        StoreUnavailable,
        Throttled,
    )
    from .issuer import Credentials
    from .model import ALL_KINDS, LOGOUT_KINDS, Access, Device, Identity, Kind, Mode, Session, SubjectFacts
    from .policy import Lifetimes, Policy
    from .remote import RemoteVerifier
    from .subjects import ApplicationSubjects, Login, UserSource

__all__ = [
    "ALL_KINDS",
    "LOGOUT_KINDS",
    "Access",
    "ApplicationSubjects",
    "Auth",
    "CoatcheckError",
    "ConfigurationError",
    "Conflict",
    "Credential",
    "Credentials",
    "Device",
    "Forbidden",
    "Identity",
    "InvalidCredential",
    "InvalidLogin",
    "Kind",
    "Lifetimes",
    "LimitReached",
    "Login",
    "LoginTooOld",
    "Mode",
    "NotFound",
    "NotLoggedIn",
    "Policy",
    "Rejected",
    "RemoteVerifier",
    "Session",
    "SessionEnded",
    "StoreUnavailable",
    "SubjectFacts",
    "Throttled",
    "UserSource",
    "bearer",
]
__version__ = "0.1.0"

_HOMES = {
    "ALL_KINDS": "model",
    "LOGOUT_KINDS": "model",
    "Access": "model",
    "ApplicationSubjects": "subjects",
    "Auth": "auth",
    "CoatcheckError": "errors",
    "ConfigurationError": "errors",
    "Conflict": "errors",
    "Credential": "credentials.transport",
    "Credentials": "issuer",
    "Device": "model",
    "Forbidden": "errors",
    "Identity": "model",
    "InvalidCredential": "errors",
    "InvalidLogin": "errors",
    "Kind": "model",
    "Lifetimes": "policy",
    "LimitReached": "errors",
    "Login": "subjects",
    "LoginTooOld": "errors",
    "Mode": "model",
    "NotFound": "errors",
    "NotLoggedIn": "errors",
    "Policy": "policy",
    "Rejected": "errors",
    "RemoteVerifier": "remote",
    "Session": "model",
    "SessionEnded": "errors",
    "StoreUnavailable": "errors",
    "SubjectFacts": "model",
    "Throttled": "errors",
    "UserSource": "subjects",
    "bearer": "credentials.transport",
}


def __getattr__(name: str) -> Any:
    """PEP 562: called once for each name."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{home}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
