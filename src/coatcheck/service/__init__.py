"""The service: one ASGI application with the HTTP API and the pages, to mount or to run alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import auth_app

__all__ = ["auth_app"]


def __getattr__(name: str) -> Any:
    """``auth_app``, imported when it is asked for: whoever only reads the settings loads no web framework."""
    if name != "auth_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .app import auth_app

    return auth_app
