"""The service: one ASGI application with the HTTP API and the pages, to mount or to run alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import auth_app
    from .delivery import deliver
    from .former import Former, TradeIn, trade_in

__all__ = ["Former", "TradeIn", "auth_app", "deliver", "trade_in"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are asked for: whoever only reads the settings loads no web framework."""
    if name == "auth_app":
        from .app import auth_app

        return auth_app
    if name == "deliver":
        from .delivery import deliver

        return deliver
    if name in ("Former", "TradeIn", "trade_in"):
        from . import former

        return getattr(former, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
