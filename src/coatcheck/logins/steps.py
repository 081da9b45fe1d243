"""The second factors that there are, each of which can be a step of a login."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from ..accounts.throttle import Counters
from ..errors import ConfigurationError

_METHOD: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody gave for a step: a code, or a credential as a browser makes it. Secret, so kept out of ``repr``."""

    code: str = field(default="", repr=False)
    credential: Mapping[str, Any] = field(default_factory=dict, repr=False)


@runtime_checkable
class Step(Protocol):
    """One second factor. It keeps its own records; it makes no sessions."""

    method: str
    """Its name in the API: ``totp``."""
    amr: tuple[str, ...]
    """What it adds to the session's authentication methods (RFC 8176): ``("otp",)``."""
    label: str
    """What the page calls its field: "Code from your app"."""
    hint: str
    """One sentence for the page that says what to do; may be empty."""
    autocomplete: str
    """The field's ``autocomplete``, such as ``one-time-code``. A field for a password is one that hides what is
    typed: ``current-password``."""

    async def is_set_up(self, subject: str) -> bool:
        """Whether this subject has it. Raises `StoreUnavailable`: then nobody is let in without it."""
        ...

    async def check(self, subject: str, answer: Answer, *, now: float) -> None:
        """Raises `InvalidStep` unless the answer is right. What counts once is accepted by a compare-and-set, see
        `accept_once`: of two who give it at the same time one is refused. Raises `StoreUnavailable`."""
        ...


class Steps:
    """The steps of one `Auth`, in the order in which they are offered."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}
        self._in_use = False

    def settle(self) -> None:
        """From now on there are no others: logins are made."""
        self._in_use = True

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps.values())

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: Step) -> None:
        """One more. Raises `ConfigurationError` for what is none, for a name that is taken, and after the start."""
        if self._in_use:
            raise ConfigurationError("a step is added before the start: logins without it may have been made")
        if isinstance(step, type) or not isinstance(step, Step):
            raise ConfigurationError("a step is an object with what coatcheck.logins.Step says")
        if not _METHOD.fullmatch(step.method):
            raise ConfigurationError(f"{step.method!r} is no name of a step: it is such as recovery_code")
        if step.method in self._steps:
            raise ConfigurationError(f"there are two steps called {step.method}")
        if not step.amr:
            raise ConfigurationError(f"the step {step.method} adds no authentication method (RFC 8176)")
        self._steps[step.method] = step

    def get(self, method: str) -> Step | None:
        """The step of this name."""
        return self._steps.get(method)

    async def set_up(self, subject: str) -> tuple[str, ...]:
        """The methods that a subject has. Raises `StoreUnavailable`."""
        return tuple([step.method for step in self if await step.is_set_up(subject)])


async def accept_once(counters: Counters, what: str, *, by: str, now: float, window: float) -> bool:
    """Whether this code of this subject is the first of its kind within ``window`` seconds: a compare-and-set, for the
    whole fleet. ``what`` names what counts once, such as ``totp:58123457``; it is kept as a hash."""
    digest = hashlib.sha256(f"{len(by)}:{by}:{what}".encode("utf-8", "surrogatepass")).hexdigest()
    return await counters.count_failure(f"once:{digest}", now=now, window=window) == 1
