"""What an `Auth` opens in the place of the database that it names: something in the tests of an application, and the
database itself everywhere else.

Nobody answers here outside of tests. Under pytest Coatcheck's plugin does, from before the first conftest is read until
pytest ends. Elsewhere ``coatcheck.django`` does, while Django's test environment is set up, as ``manage.py test`` does
it. No setting of the application and no environment variable can.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast
from weakref import WeakSet

T = TypeVar("T")
Answer = Callable[[str, Any], str]
"""Takes a URL and the `Auth` that is about to open it, gives the URL to open. May raise `ConfigurationError`."""

_answers: list[Answer] = []
_others: dict[Answer, Callable[[], bool]] = {}
_answered: WeakSet[Any] = WeakSet()


def stand_in(place: T, auth: object) -> T:
    """What to open for this URL. A store object, and None, are what they are."""
    answer = _answering() if isinstance(place, str) else None
    if answer is None:
        return place
    _answered.add(auth)
    return cast(T, answer(cast(str, place), auth))


def is_answered() -> bool:
    """Whether somebody says what is opened in tests."""
    return _answering() is not None


def was_answered(auth: object) -> bool:
    """Whether somebody has said what this `Auth` opens."""
    return auth in _answered


def _answering() -> Answer | None:
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
