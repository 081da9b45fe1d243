"""What an `Auth` opens in the place of the database that it names: something in the tests of an application, and the
database itself everywhere else.

Nobody answers here outside of pytest. Coatcheck's plugin does, from before the first conftest is read until pytest
ends; no setting of the application and no environment variable can.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")
Answer = Callable[[str, Any], str]
"""Takes a URL and the `Auth` that is about to open it, gives the URL to open. May raise `ConfigurationError`."""

_answers: list[Answer] = []


def stand_in(place: T, auth: object) -> T:
    """What to open for this URL. A store object, and None, are what they are."""
    if not _answers or not isinstance(place, str):
        return place
    return cast(T, _answers[-1](place, auth))


def is_answered() -> bool:
    """Whether somebody says what is opened in tests."""
    return bool(_answers)


def answer_with(answer: Answer) -> Callable[[], None]:
    """From now on ask this, until what is returned is called."""
    _answers.append(answer)
    return lambda: _answers.remove(answer)
