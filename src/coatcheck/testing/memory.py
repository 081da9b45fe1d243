"""An `Auth` for tests: everything in memory, forgotten at the end, and passwords that cost nothing."""

from __future__ import annotations

from typing import Final

from .. import blocking
from ..accounts import Argon2Profile, PasswordHasher
from ..auth import Auth
from ..policy import Policy
from ..subjects import SubjectHook, SubjectSource
from .clock import TravelClock

FOR_TESTS_ONLY: Final = Argon2Profile(memory=8, passes=1, lanes=1)
"""The least that argon2 can do, some microseconds. It protects no password of anybody: never use it outside tests."""


def cheap_passwords() -> PasswordHasher:
    """A hasher with the profile `FOR_TESTS_ONLY`."""
    return PasswordHasher(FOR_TESTS_ONLY, concurrency=1)


def memory_auth(
    clock: TravelClock | None = None,
    *,
    policy: Policy | None = None,
    subjects: SubjectSource | SubjectHook | None = None,
) -> Auth:
    """An `Auth`, not yet started, with nothing in it. ``clock``: to travel with; the machine's when omitted."""
    return Auth(
        "memory://",
        policy=policy,
        subjects=subjects,
        password_hasher=cheap_passwords(),
        clock=None if clock is None else clock.as_clock(),
    )


def blocking_memory_auth(
    clock: TravelClock | None = None,
    *,
    policy: Policy | None = None,
    subjects: SubjectSource | SubjectHook | None = None,
) -> blocking.Auth:
    """As `memory_auth`, for threads: Flask, Django."""
    return blocking.Auth(
        "memory://",
        policy=policy,
        subjects=subjects,
        password_hasher=cheap_passwords(),
        clock=None if clock is None else clock.as_clock(),
    )
