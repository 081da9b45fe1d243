"""Whether a secret was surely never drawn at random. No test can say that one was; this one catches what people write
when something asks for 32 characters."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

_DISTINCT: Final = 6
"""Different bytes that even 32 random decimal digits have, but once in ten million times."""
_PERIOD: Final = 16
"""Bytes of a random secret do not repeat after fewer than this."""
_ROWS: Final = (b"1234567890", b"qwertyuiop", b"asdfghjkl", b"zxcvbnm", b"qwertzuiop", b"yxcvbnm", b"azertyuiop")
_NEIGHBOURS: Final = frozenset(pair for row in _ROWS for one in (row, row[::-1]) for pair in pairwise(one))
_PLACEHOLDERS: Final = (
    "changeme", "changethis", "changeit", "replaceme", "replacethis", "yoursecret", "mysecret", "secretkeyhere",
    "insertsecret", "putasecret", "supersecret", "topsecret", "notasecret", "placeholder", "correcthorsebatterystaple",
    "donotuse", "insecure", "password",
)  # fmt: skip


def guessed(secret: bytes) -> str | None:
    """Why anybody could guess the secret, as the end of a sentence that begins with "it"; None where nothing shows it.

    A secret out of ``openssl rand`` in any spelling is not taken for one, but for once in a billion times."""
    if len(set(secret)) < _DISTINCT:
        return "has hardly any different characters"
    if any(secret[period:] == secret[:-period] for period in range(1, min(_PERIOD, len(secret)))):
        return "repeats itself"
    if not (secret.isascii() and secret.decode().isprintable()):  # nobody typed it
        return None
    folded = secret.lower()
    steps = [one for one in pairwise(folded) if abs(one[0] - one[1]) <= 1 or one in _NEIGHBOURS]
    if 3 * len(steps) >= 2 * (len(secret) - 1):
        return "is a row of the alphabet or the keyboard"
    letters = "".join(char for char in folded.decode() if char.isalpha())
    if any(word in letters for word in _PLACEHOLDERS):
        return "reads like one that is meant to be replaced"
    return None
