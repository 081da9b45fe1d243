"""Coatcheck's own accounts. An application that has users of its own needs nothing of this."""

from .directory import Accounts, Authenticated
from .emails import canonical
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
    "OWASP", "PROFILES", "RFC9106_HIGH_MEMORY", "RFC9106_LOW_MEMORY", "Accounts", "Argon2Profile", "Authenticated",
    "Limits", "PasswordHasher", "PasswordPolicy", "Rate", "Throttle", "canonical",
]  # fmt: skip
