"""E-mail addresses: one canonical form in which they are compared."""

from __future__ import annotations

import unicodedata
from typing import Final, NamedTuple

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from ..arguments import kinds
from ..errors import InvalidEmail

MAX_EMAIL: Final = 254
"""Characters of an address: RFC 5321 §4.5.3.1.3 allows a path of 256 with its angle brackets."""


class Email(NamedTuple):
    """An address in its two forms."""

    written: str
    """As the person wrote it, in NFC and with the domain in lower case. Mail goes here."""
    key: str
    """In which addresses are compared, never written to: NFKC and casefolded, the domain in its ASCII form. So no
    two accounts have addresses that look alike but for case or compatibility characters."""


def canonical(email: str) -> Email:
    """The two forms of an address. Only its form is looked at; no name is resolved.

    ``.test`` is accepted (RFC 6761 §6.2), so that examples and tests need no real domain.
    Raises `InvalidEmail`, whose text does not hold the address.
    """
    kinds(str, email=email)
    found = _validated(email)
    folded = unicodedata.normalize("NFKC", found.local_part).casefold()
    # Folding can undo the normal form, and once more is a fixed point (Unicode §3.13, toNFKC_Casefold).
    local = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).casefold())
    key = f"{local}@{found.ascii_domain.lower()}"
    if local != found.local_part:
        _validated(key)  # a full-width @ is harmless in the one form and a separator in the other
    return Email(found.normalized, key)


def _validated(email: str) -> ValidatedEmail:
    if len(email) > MAX_EMAIL:
        raise InvalidEmail(f"the e-mail address is too long; at most {MAX_EMAIL} characters are possible")
    try:
        return validate_email(email, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise InvalidEmail("this is not an e-mail address") from error
