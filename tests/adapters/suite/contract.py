"""What an adapter gives to the behaviour suite: one small application in its framework's idiom, and a way to ask it.

The application has, below the prefix under which it is mounted (usually none):

- ``GET, POST /open``: JSON ``{"subject": ...}``; null for nobody. Serves everybody.
- ``GET, POST /mine``: JSON ``{"subject", "session", "mode", "roles"}`` (roles sorted). Needs somebody logged in.
- ``GET /admin``: the same, for whoever has the role ``admin``.
- ``POST /danger``: the same, for whoever has logged in within the last 5 minutes.
- ``GET, POST /theirs``: JSON ``{"authorization": ...}``, the header as it was sent. Its bearer tokens are somebody
  else's: it is left out of what asks who is asking. ``GET /theirs/mine`` too, and it needs somebody logged in.
- ``/auth/...``: the service's API, mounted (`coatcheck.service.auth_app`), on the same `Auth`.

Each route uses what the adapter offers for it (dependency, decorator, guard), and HEAD and OPTIONS are left to what the
framework does of itself.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from coatcheck import Auth, Policy
from coatcheck.accounts import Argon2Profile, PasswordHasher
from coatcheck.clock import Clock
from coatcheck.features import Feature
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock
from tests.support.gates import GatedStore

T = TypeVar("T")
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Names of headers are in lower case, in the order in which they came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The values of a header, joined; empty when there is none."""
        return ", ".join(value for key, value in self.headers if key == name)

    def json(self) -> Any:
        return json.loads(self.body)


class Served(Protocol):
    """A running application."""

    async def request(
        self, method: str, path: str, *, headers: Headers = (), body: bytes = b"", base: str = "https://app.example"
    ) -> Answer:
        """One request, exactly these headers besides Host (and Content-Length), no cookie jar, no redirects. ``path``
        is the whole path, prefix and query included. ``base`` gives scheme and Host as the *server* sees them; a
        test of a proxy passes ``http://...`` and ``X-Forwarded-Proto``."""

    async def run(self, work: Callable[[Auth], Awaitable[T]]) -> T:
        """Await something on the application's own `Auth`, in the loop in which that lives."""


@dataclass(slots=True)
class Setting:
    """How the suite wants the application. Its `Auth`, of either kind, is ``Auth(**setting.arguments())``."""

    clock: TravelClock
    prefix: str = ""
    """Where it is mounted: ``""`` or such as ``/site``."""
    behind_proxy: bool = False
    """Whether it believes ``X-Forwarded-Proto`` and ``X-Forwarded-Host`` of the peer, in the idiom of the framework or
    of its usual server."""
    policy: Policy | None = None
    """None: the default."""
    features: Sequence[Feature] = ()
    sessions: GatedStore = field(init=False)
    """The store of the sessions and their feed, which can be made to fail."""

    def __post_init__(self) -> None:
        self.sessions = GatedStore(MemoryStore(wall=self.clock))

    def arguments(self) -> dict[str, Any]:
        """Accounts of our own in memory with cheap passwords, sessions in ``sessions``, everything by ``clock``."""
        clock = self.clock
        return {
            "url": "memory://",
            "sessions": self.sessions,
            "policy": self.policy,
            "features": self.features,
            "clock": Clock(monotonic=clock.monotonic, wall=clock.now),
            "password_hasher": PasswordHasher(CHEAP, concurrency=1),
        }


CHEAP = Argon2Profile(memory=8, passes=1, lanes=1)
"""What argon2 takes at least: nobody's passwords are protected by it."""

Serving = Callable[[Setting], AbstractAsyncContextManager[Served]]
"""What each framework's module in ``tests/adapters/apps`` has under the name ``serving``."""
