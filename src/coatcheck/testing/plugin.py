"""The pytest plugin: a clock, an `Auth` in memory, `login_as`, and throw-away databases in the place of real ones.

It is loaded in every test run where Coatcheck is installed, so it imports nothing of what Coatcheck needs before a test
asks, and changes nothing but what an `Auth` opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

from ..stand_ins import answer_with
from .databases import THROW_AWAY, Databases
from .temporary import REAL, SETTING

if TYPE_CHECKING:
    from ..blocking import Auth as BlockingAuth
    from .clock import TravelClock


_DATABASES: Final = pytest.StashKey[Databases]()
_OF_WORKER: Final = "coatcheck_spared"
"""What a worker of pytest-xdist tells of its databases under this name."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        SETTING,
        f"What an Auth opens in tests: {THROW_AWAY} (a new SQLite file in the place of one that lasts, and no server), "
        f"or {REAL} (whatever it names)",
        default=THROW_AWAY,
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before the first conftest: it may start an application."""
    _look_after_databases(early_config)


def pytest_configure(config: pytest.Config) -> None:
    """`coatcheck_auth` runs in a test's event loop, so it is there where pytest-asyncio is."""
    _look_after_databases(config)  # should a conftest have named the plugin
    if config.pluginmanager.has_plugin("asyncio"):
        from . import async_fixtures

        config.pluginmanager.register(async_fixtures, "coatcheck-asyncio")


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [f"coatcheck: {SETTING} = {REAL}, databases are opened as they are named"] if _of(config).real else []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture of the test."""
    _of(item.config).next_test()


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_OF_WORKER] = list(_of(session.config).spared)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Of pytest-xdist, where a worker has ended."""
    for file in getattr(node, "workeroutput", {}).get(_OF_WORKER, ()):
        _of(node.config).spared.setdefault(file)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if spared := _of(config).spared:
        terminalreporter.write_line(f"coatcheck: tests had throw-away databases in the place of {', '.join(spared)}")


def _of(config: pytest.Config) -> Databases:
    return config.stash[_DATABASES]


def _look_after_databases(config: pytest.Config) -> None:
    if _DATABASES not in config.stash:
        databases = config.stash[_DATABASES] = Databases(config)
        config.add_cleanup(answer_with(databases))


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
