"""Coatcheck: sessions and JWTs with the same guarantees. The public names, nothing else."""

from .auth import Auth
from .credentials.transport import Credential, bearer
from .errors import (
    CoatcheckError,
    ConfigurationError,
    InvalidCredential,
    InvalidLogin,
    StoreUnavailable,
)
from .issuer import Credentials
from .model import Device, Identity, Mode, Session, SubjectFacts
from .policy import Lifetimes, Policy
from .subjects import ApplicationSubjects

__all__ = [
    "ApplicationSubjects",
    "Auth",
    "CoatcheckError",
    "ConfigurationError",
    "Credential",
    "Credentials",
    "Device",
    "Identity",
    "InvalidCredential",
    "InvalidLogin",
    "Lifetimes",
    "Mode",
    "Policy",
    "Session",
    "StoreUnavailable",
    "SubjectFacts",
    "bearer",
]
__version__ = "0.1.0"
