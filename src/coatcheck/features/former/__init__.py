"""Logins of another system that go on here without a new login, once: trading in."""

from .trading import Former, TradeIn, trade_in

__all__ = ["Former", "TradeIn", "trade_in"]
