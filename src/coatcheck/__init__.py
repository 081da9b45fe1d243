"""Coatcheck: sessions and JWTs with the same guarantees. The public names, nothing else."""

from .auth import Auth
from .credentials.transport import Credential, bearer
from .errors import (
    CoatcheckError,
    ConfigurationError,
    Conflict,
    Forbidden,
    InvalidCredential,
    InvalidLogin,
    NotFound,
    Rejected,
    StoreUnavailable,
    Throttled,
)
from .issuer import Credentials
from .model import Device, Identity, Mode, Session, SubjectFacts
from .policy import Lifetimes, Policy
from .remote import RemoteVerifier
from .subjects import ApplicationSubjects

__all__ = [
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
    "Lifetimes",
    "Mode",
    "NotFound",
    "Policy",
    "Rejected",
    "RemoteVerifier",
    "Session",
    "StoreUnavailable",
    "SubjectFacts",
    "Throttled",
    "bearer",
]
__version__ = "0.1.0"
