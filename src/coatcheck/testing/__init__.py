"""What applications and stores are tested with. Each name is loaded when it is asked for: the pytest plugin is imported
in every test run where Coatcheck is installed.
"""

from typing import TYPE_CHECKING

from ..lazily import lazily

if TYPE_CHECKING:
    from .client import assert_refused_after_revoke, login_as, logout
    from .clock import TravelClock
    from .feature_contract import FeatureContract
    from .lifespan import running
    from .memory import FOR_TESTS_ONLY, blocking_memory_auth, cheap_passwords, memory_auth
    from .store_contract import SessionContract, StoreContract

__all__ = [
    "FOR_TESTS_ONLY", "FeatureContract", "SessionContract", "StoreContract", "TravelClock",
    "assert_refused_after_revoke", "blocking_memory_auth", "cheap_passwords", "login_as", "logout", "memory_auth",
    "running",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "coatcheck.testing.client": ("assert_refused_after_revoke", "login_as", "logout"),
        "coatcheck.testing.clock": ("TravelClock",),
        "coatcheck.testing.feature_contract": ("FeatureContract",),
        "coatcheck.testing.lifespan": ("running",),
        "coatcheck.testing.memory": ("FOR_TESTS_ONLY", "blocking_memory_auth", "cheap_passwords", "memory_auth"),
        "coatcheck.testing.store_contract": ("SessionContract", "StoreContract"),
    },
)
