"""A step that only tests have: a second password, and one that counts once."""

from __future__ import annotations

import hmac
from typing import Any

from coatcheck.errors import InvalidStep
from coatcheck.logins import Answer, accept_once

SECOND = "and another one, later"


class SecondPassword:
    """Known of whoever is in ``of``: subject → second password."""

    method = "second_password"
    amr = ("kba",)
    label = "Second password"
    hint = "The other one of your two passwords."
    autocomplete = "current-password"

    def __init__(self) -> None:
        self.of: dict[str, str] = {}
        self.calls = 0
        self.broken: Exception | None = None

    async def is_set_up(self, subject: str) -> bool:
        if self.broken is not None:
            raise self.broken
        return subject in self.of

    async def check(self, subject: str, answer: Answer, *, now: float) -> None:
        self.calls += 1
        if not hmac.compare_digest(answer.code.encode(), self.of[subject].encode()):
            raise InvalidStep("wrong second password")


class OneTime(SecondPassword):
    """Each counts once."""

    method = "one_time"
    amr = ("otp",)
    label = "Code"
    hint = ""
    autocomplete = "one-time-code"

    def __init__(self) -> None:
        super().__init__()
        self.counters: Any = None

    async def check(self, subject: str, answer: Answer, *, now: float) -> None:
        await super().check(subject, answer, now=now)
        if not await accept_once(self.counters, f"one_time:{answer.code}", by=subject, now=now, window=600):
            raise InvalidStep("it was used before")
