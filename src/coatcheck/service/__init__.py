"""The service: one ASGI application with the HTTP API and the pages, to mount or to run alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import auth_app
    from .delivery import deliver

__all__ = ["auth_app", "deliver"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are asked for: whoever only reads the settings loads no web framework."""
    if name == "auth_app":
        from .app import auth_app

        return auth_app
    if name == "deliver":
        from .delivery import deliver

        return deliver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
