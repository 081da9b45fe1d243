"""Coatcheck: sessions and JWTs with the same guarantees. The public names, nothing else.

Each is loaded when it is first asked for. The pytest plugin is imported in every test run where Coatcheck is installed,
and must cost nothing where no test uses it.
"""

from typing import TYPE_CHECKING

from .lazily import lazily

if TYPE_CHECKING:
    from .auth import Auth
    from .credentials.transport import Credential, bearer
    from .errors import (
        AttemptOver,
        CoatcheckError,
        ConfigurationError,
        Conflict,
        Forbidden,
        InvalidCredential,
        InvalidLogin,
        InvalidStep,
        LimitReached,
        LoginTooOld,
        NotFound,
        NotLoggedIn,
        Rejected,
        SessionEnded,
        StepRequired,
        StoreUnavailable,
        Throttled,
    )
    from .issuer import Credentials
    from .model import ALL_KINDS, LOGOUT_KINDS, Access, Device, Identity, Kind, Mode, Profile, Session, SubjectFacts
    from .policy import Lifetimes, Policy
    from .remote import RemoteVerifier
    from .site import Site
    from .subjects import ApplicationSubjects, Login, UserSource

__all__ = [
    "ALL_KINDS",
    "LOGOUT_KINDS",
    "Access",
    "ApplicationSubjects",
    "AttemptOver",
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
    "InvalidStep",
    "Kind",
    "Lifetimes",
    "LimitReached",
    "Login",
    "LoginTooOld",
    "Mode",
    "NotFound",
    "NotLoggedIn",
    "Policy",
    "Profile",
    "Rejected",
    "RemoteVerifier",
    "Session",
    "SessionEnded",
    "Site",
    "StepRequired",
    "StoreUnavailable",
    "SubjectFacts",
    "Throttled",
    "UserSource",
    "bearer",
]
__version__ = "0.1.0"

__getattr__ = lazily(
    __name__,
    {
        "coatcheck.auth": ("Auth",),
        "coatcheck.credentials.transport": (
            "Credential",
            "bearer",
        ),
        "coatcheck.errors": (
            "AttemptOver",
            "CoatcheckError",
            "ConfigurationError",
            "Conflict",
            "Forbidden",
            "InvalidCredential",
            "InvalidLogin",
            "InvalidStep",
            "LimitReached",
            "LoginTooOld",
            "NotFound",
            "NotLoggedIn",
            "Rejected",
            "SessionEnded",
            "StepRequired",
            "StoreUnavailable",
            "Throttled",
        ),
        "coatcheck.issuer": ("Credentials",),
        "coatcheck.model": (
            "ALL_KINDS",
            "LOGOUT_KINDS",
            "Access",
            "Device",
            "Identity",
            "Kind",
            "Mode",
            "Profile",
            "Session",
            "SubjectFacts",
        ),
        "coatcheck.policy": (
            "Lifetimes",
            "Policy",
        ),
        "coatcheck.remote": ("RemoteVerifier",),
        "coatcheck.site": ("Site",),
        "coatcheck.subjects": (
            "ApplicationSubjects",
            "Login",
            "UserSource",
        ),
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
