"""Secrets that were never drawn at random."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

from coatcheck import Auth
from coatcheck.credentials.entropy import guessed
from coatcheck.credentials.keyring import Secrets
from coatcheck.errors import ConfigurationError
from coatcheck.web.access import ServiceKeys

GUESSED = [
    b"x" * 32, b"\0" * 64, b"ab" * 20, b"changeme" * 4, b"hunter2" * 5, b"secret " * 6,
    b"0123456789" * 4, b"12345678901234567890123456789012", b"abcdefghijklmnopqrstuvwxyz012345",
    b"zyxwvutsrqponmlkjihgfedcba987654", b"qwertyuiopasdfghjklzxcvbnm123456", b"s" * 16 + b"0123456789abcdef",
    b"please-change-me-in-production-01", b"CHANGE_THIS_TO_SOMETHING_RANDOM_!!", b"your-secret-key-goes-here-000001",
    b"my-super-secret-key-for-coatcheck", b"this is insecure, do not use it!!",
]  # fmt: skip
DRAWN: list[Callable[[], bytes]] = [
    lambda: secrets.token_bytes(32),
    lambda: secrets.token_hex(16).encode(),
    lambda: secrets.token_hex(32).encode(),
    lambda: secrets.token_urlsafe(24).encode(),
    lambda: secrets.token_urlsafe(32).encode(),
    lambda: "".join(secrets.choice("0123456789") for _ in range(40)).encode(),
]


@pytest.mark.parametrize("secret", GUESSED)
def test_refused(secret: bytes) -> None:
    """Repetitions, rows of the alphabet and the keyboard, and what is meant to be replaced are refused as a secret and
    as a service key, by a line that says what to do and does not repeat it."""
    for make in (lambda: Secrets([secret]), lambda: ServiceKeys([secret.decode()])):
        with pytest.raises(ConfigurationError, match="openssl rand") as caught:
            make()
        assert secret.decode() not in str(caught.value)


async def test_refused_at_start() -> None:
    """An `Auth` does not start with one, alone or behind a good one."""
    for secret in ("x" * 40, [secrets.token_urlsafe(32), "changeme" * 5]):
        with pytest.raises(ConfigurationError, match="can be guessed"):
            await Auth("memory://", secret=secret).start()


@pytest.mark.parametrize("draw", DRAWN)
def test_what_was_drawn_passes(draw: Callable[[], bytes]) -> None:
    """Random secrets in every usual spelling are not taken for guessed ones."""
    for _ in range(2000):
        assert guessed(draw()) is None
