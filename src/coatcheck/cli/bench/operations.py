"""What the store does in a second: login, first sight of a session token, refresh, revoke."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from ... import Auth, Credentials, Mode
from .guest import AT_ONCE, Guest, credential_of, together

MOST: Final = {1: 400, AT_ONCE: 1200}
"""Sessions that are made, by how many are asked for at once."""

Work = Callable[[int], Awaitable[object]]
"""Does it once. It is given 0, 1, 2, …"""


async def measure(auth: Auth, guest: Guest, at_once: int, seconds: float) -> dict[str, Any]:
    """Each operation for a quarter of the time. None stands for what the policy's modes do not have."""
    made: list[Credentials] = []
    modes = auth.policy.modes

    async def login(number: int) -> None:
        made.append(await auth.login(guest.subject(number), mode=modes[number % len(modes)]))

    each = seconds / 4
    await together([auth.epoch_of(guest.subject(number)) for number in range(at_once)])  # opens the connections
    found: dict[str, Any] = {"login": await _timed(login, at_once, each, most=MOST[at_once], least=3 * at_once)}
    tokens = [credential_of(one) for one in made if one.session.mode is Mode.SESSION]
    chains = deque(one.refresh_token for one in made if one.refresh_token is not None)
    ids = deque(one.session.id for one in made)

    async def first_sight(number: int) -> None:
        token = tokens[number % len(tokens)]
        auth.table.remove(token.key)
        await auth.verify(token)

    async def refresh(_: int) -> None:
        chains.append((await auth.refresh(chains.popleft())).refresh_token or "")

    async def revoke(_: int) -> None:
        await auth.revoke(ids.popleft())

    found["first_sight"] = await _timed(first_sight, at_once, each) if tokens else None
    found["refresh"] = await _timed(refresh, at_once, each) if chains else None
    found["revoke"] = await _timed(revoke, at_once, each, most=len(ids))
    return found


async def _timed(work: Work, at_once: int, seconds: float, *, most: int = 1 << 30, least: int = 1) -> dict[str, Any]:
    """Do it again and again, so many at once, until the time is over (but ``least`` times) or ``most`` are done."""
    numbers = itertools.count()
    took: list[float] = []
    began = time.perf_counter()

    async def one_after_the_other() -> None:
        while (number := next(numbers)) < most:
            start = time.perf_counter()
            if start - began > seconds and number >= least:
                return
            await work(number)
            took.append(time.perf_counter() - start)

    await together([one_after_the_other() for _ in range(at_once)])
    elapsed = time.perf_counter() - began
    took.sort()
    return {
        "count": len(took),
        "per_second": len(took) / elapsed,
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[min(len(took) - 1, len(took) * 99 // 100)] * 1000,
    }
