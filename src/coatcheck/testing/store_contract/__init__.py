"""What every store must do, as tests that any store can run.

Write one class per store and override one fixture::

    from coatcheck.testing.store_contract import SessionContract

    class TestMyStore(SessionContract):
        @pytest_asyncio.fixture
        async def store(self):
            store = MyStore(...)
            await store.open()
            yield store
            await store.close()

Override ``rewinder`` as well, which backs the data up and puts them back as an operator does, ``second`` where another
client can open the same data, and ``interleaver`` where operations take more than one step, so that the races between
two clients are forced and not left to luck.

The store must be empty when a test begins. Times are arguments near the store's own ``time()``, so no clock is faked.
Needs pytest and pytest-asyncio, in either of its modes.
"""

from __future__ import annotations

from ...extras import module_needs

with module_needs("coatcheck.testing.StoreContract", "pytest"):
    import pytest

for _part in (
    "accounts",
    "arguments",
    "feed",
    "history",
    "keys",
    "kinds",
    "limits",
    "random_runs",
    "races",
    "rotation",
    "sessions",
    "support",
):
    pytest.register_assert_rewrite(f"{__name__}.{_part}")

from .accounts import AccountContract  # noqa: E402 - asserts are rewritten only in what is imported afterwards
from .arguments import ArgumentContract  # noqa: E402
from .feed import FeedContract  # noqa: E402
from .history import HistoryContract  # noqa: E402
from .interleave import Atomic, Interleaver  # noqa: E402
from .keys import KeyContract  # noqa: E402
from .kinds import KindContract  # noqa: E402
from .limits import LimitContract  # noqa: E402
from .races import RaceContract  # noqa: E402
from .random_runs import RandomContract  # noqa: E402
from .rewind import Rewinder  # noqa: E402
from .rotation import RotationContract  # noqa: E402
from .sessions import SessionRules  # noqa: E402

__all__ = ["AccountContract", "Atomic", "Interleaver", "KeyContract", "Rewinder", "SessionContract", "StoreContract"]


class SessionContract(
    SessionRules,
    ArgumentContract,
    RotationContract,
    FeedContract,
    HistoryContract,
    LimitContract,
    KindContract,
    RaceContract,
    RandomContract,
):
    """Everything that `coatcheck.stores.base.SessionStore` says."""


class StoreContract(SessionContract, AccountContract, KeyContract):
    """The same for a store that keeps accounts and keys as well."""
