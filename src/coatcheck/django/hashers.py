"""argon2id as Coatcheck hashes, for Django's own ``PASSWORD_HASHERS``.

With it in the first place, ``["coatcheck.django.hashers.CoatcheckHasher", ...]``, a password that either has
hashed stays as it is when the other one logs somebody in. Without it each would renew the other's.
"""

from __future__ import annotations

from typing import Final

from django.contrib.auth.hashers import Argon2PasswordHasher
from django.utils.crypto import get_random_string

from ..accounts.passwords import OWASP, normalise

_SALT: Final = 16


class CoatcheckHasher(Argon2PasswordHasher):
    """Django's argon2 with Coatcheck's default cost, and its view of which spellings of a password are the same."""

    time_cost = OWASP.passes
    memory_cost = OWASP.memory
    parallelism = OWASP.lanes

    def salt(self) -> str:
        """16 bytes, as RFC 9106 §3.1 recommends and Coatcheck has them."""
        return get_random_string(_SALT)

    def encode(self, password: str, salt: str) -> str:
        """See `BasePasswordHasher.encode`."""
        return super().encode(normalise(password), salt)

    def verify(self, password: str, encoded: str) -> bool:
        """See `BasePasswordHasher.verify`. Others hash what was typed: both spellings are always tried."""
        check = super().verify
        found = [check(text, encoded) for text in dict.fromkeys((normalise(password), password))]
        return True in found

    def must_update(self, encoded: str) -> bool:
        """Whether another cost was paid, or the salt is of another length."""
        return bool(self.decode(encoded)["params"] != self.params())
