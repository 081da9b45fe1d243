"""Who acts, and from where: what each event says besides what was done (ASVS 16.2.1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Final

MAX_VALUE: Final = 512
"""Characters of a value that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Whoever has asked for what is done in this task or thread; empty where it is not known."""

    by: str = ""
    """Their subject."""
    by_session: str = ""
    ip: str = ""
    """The address they ask from."""


_actor: Final[ContextVar[Actor]] = ContextVar("coatcheck.actor", default=Actor())  # noqa: B039 - it is frozen


@contextmanager
def asked_from(ip: str) -> Iterator[None]:
    """What is done within is done for somebody at this address, who is not known yet."""
    token = _actor.set(Actor(ip=ip))
    try:
        yield
    finally:
        _actor.reset(token)


def known_as(subject: str, session: str) -> None:
    """From here on, until `asked_from` ends, it is known who they are."""
    _actor.set(replace(_actor.get(), by=subject, by_session=session))


def actor() -> Actor:
    """Whoever acts."""
    return _actor.get()


def printable(text: str) -> str:
    """The beginning of a text, with what cannot be printed escaped."""
    return "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in text[:MAX_VALUE])
