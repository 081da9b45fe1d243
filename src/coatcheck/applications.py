"""Applications that were given to us: what a framework's module does to one, once, before it serves anybody.

Nothing of a framework's own is changed by an import. A module says here what it does to each application that comes
with the lifespan of an `Auth`; the core knows no framework.
"""

from __future__ import annotations

from collections.abc import Callable

_attach: list[Callable[[object], None]] = []


def when_given(attach: Callable[[object], None]) -> None:
    """From now on call this with each application. It must do no harm a second time, nor to what it does not know."""
    if attach not in _attach:
        _attach.append(attach)


def given(app: object) -> None:
    """This application is ours to look after. Raises `ConfigurationError` for one that must not start."""
    for attach in _attach:
        attach(app)
