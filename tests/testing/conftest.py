"""The plugin's fixtures, also in a checkout whose installation does not name the plugin."""

from __future__ import annotations

from coatcheck.testing.async_fixtures import coatcheck_auth
from coatcheck.testing.plugin import coatcheck_blocking_auth, coatcheck_clock, login_as

__all__ = ["coatcheck_auth", "coatcheck_blocking_auth", "coatcheck_clock", "login_as"]
