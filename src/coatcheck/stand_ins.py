"""What an `Auth` opens in the place of the database that it names: something in the tests of an application, and the
database itself everywhere else.

Nobody answers here outside of pytest. Coatcheck's plugin does, from before the first conftest is read until pytest
ends; no setting of the application and no environment variable can.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

T = TypeVar("T")


class Answer(Protocol):
    """Who says what is opened in tests."""

    def __call__(self, url: str, auth: Any) -> str:
        """The URL to open for this one, by the `Auth` that is about to. May raise `ConfigurationError`."""

    def may_write(self, file: Path | None) -> bool:
        """Whether tests may change what is in an open database: in this file, or, None, in what lasts elsewhere."""


_answers: list[Answer] = []


def stand_in(place: T, auth: object) -> T:
    """What to open for this URL. A store object, and None, are what they are."""
    if not _answers or not isinstance(place, str):
        return place
    return cast(T, _answers[-1](place, auth))


def answering() -> Answer | None:
    """Who says what is opened in tests, if anybody does."""
    return _answers[-1] if _answers else None


def answer_with(answer: Answer) -> Callable[[], None]:
    """From now on ask this, until what is returned is called."""
    _answers.append(answer)
    return lambda: _answers.remove(answer)
