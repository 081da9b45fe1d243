"""Logging in by name and password, and Coatcheck's own accounts."""

from .directory import Accounts, AuthenticatedAccount
from .emails import canonical
from .logins import CheckedLogins, Logins, Proof
from .passwords import (
    OWASP,
    PROFILES,
    RFC9106_HIGH_MEMORY,
    RFC9106_LOW_MEMORY,
    Argon2Profile,
    PasswordHasher,
    PasswordPolicy,
)
from .throttle import Limits, Rate, Throttle

__all__ = [
    "OWASP",
    "PROFILES",
    "RFC9106_HIGH_MEMORY",
    "RFC9106_LOW_MEMORY",
    "Accounts",
    "Argon2Profile",
    "AuthenticatedAccount",
    "CheckedLogins",
    "Limits",
    "Logins",
    "PasswordHasher",
    "PasswordPolicy",
    "Proof",
    "Rate",
    "Throttle",
    "canonical",
]  # fmt: skip
