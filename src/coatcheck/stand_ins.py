"""What an `Auth` opens in the place of the database that it names: something in the tests of an application, and the
database itself everywhere else.

Nobody answers here outside of tests. Under pytest Coatcheck's plugin does, from before the first conftest is read until
pytest ends. Elsewhere ``coatcheck.django`` does, while Django's test environment is set up, as ``manage.py test`` does
it. No setting of the application and no environment variable can.
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
_others: dict[Answer, Callable[[], bool]] = {}


def stand_in(place: T, auth: object) -> T:
    """What to open for this URL. A store object, and None, are what they are."""
    answer = answering() if isinstance(place, str) else None
    if answer is None:
        return place
    return cast(T, answer(cast(str, place), auth))


def answering() -> Answer | None:
    """Who says what is opened in tests, if anybody does."""
    if _answers:
        return _answers[-1]
    return next((answer for answer, holds in _others.items() if holds()), None)


def answer_with(answer: Answer) -> Callable[[], None]:
    """From now on ask this, until what is returned is called."""
    _answers.append(answer)
    return lambda: _answers.remove(answer)


def answer_while(holds: Callable[[], bool], answer: Answer) -> None:
    """Ask this for as long as ``holds`` says so and nobody answers whom `answer_with` knows. Idempotent."""
    _others[answer] = holds
