"""The pytest plugin: a clock, an `Auth` in memory, and `login_as`.

It is loaded in every test run where Coatcheck is installed, so it imports nothing of Coatcheck before a test asks, and
does nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..blocking import Auth as BlockingAuth
    from .clock import TravelClock


def pytest_configure(config: pytest.Config) -> None:
    """`coatcheck_auth` runs in a test's event loop, so it is there where pytest-asyncio is."""
    if config.pluginmanager.has_plugin("asyncio"):
        from . import async_fixtures

        config.pluginmanager.register(async_fixtures, "coatcheck-asyncio")


@pytest.fixture
def coatcheck_clock() -> TravelClock:
    """A clock that stands still: ``coatcheck_clock.advance(seconds)``."""
    from .clock import TravelClock

    return TravelClock()


@pytest.fixture
def coatcheck_blocking_auth(coatcheck_clock: TravelClock) -> Iterator[BlockingAuth]:
    """A running `coatcheck.blocking.Auth` in memory, by ``coatcheck_clock``: for Flask and Django."""
    from .memory import blocking_memory_auth

    with blocking_memory_auth(coatcheck_clock) as auth:
        yield auth


@pytest.fixture
def login_as() -> Callable[..., Any]:
    """`coatcheck.testing.client.login_as`; import it from there for its types."""
    from .client import login_as

    return login_as
