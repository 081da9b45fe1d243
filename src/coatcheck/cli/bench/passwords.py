"""What a login's password costs here."""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from typing import Any

from ...service.settings import Settings


async def measure(settings: Settings, seconds: float) -> dict[str, Any]:
    """One password after the other, then as many at once as a process does. Nothing is stored."""
    hasher = settings.password_hasher()
    try:
        password = secrets.token_urlsafe(12)
        stored = await hasher.hash(password)
        alone: list[float] = []
        until = time.perf_counter() + seconds / 2
        while not alone or time.perf_counter() < until:
            began = time.perf_counter()
            await hasher.verify(stored, password)
            alone.append(time.perf_counter() - began)

        async def log_in() -> int:
            count = 0
            while not count or time.perf_counter() < until:
                await hasher.verify(stored, password)
                count += 1
            return count

        began = time.perf_counter()
        until = began + seconds / 2
        counts = await asyncio.gather(*(log_in() for _ in range(hasher.concurrency)))
        elapsed = time.perf_counter() - began
    finally:
        await hasher.close()
    return {
        "profile": settings.password_profile,
        "memory_kib": hasher.profile.memory,
        "one_ms": statistics.median(alone) * 1000,
        "at_once": hasher.concurrency,
        "logins_per_second": sum(counts) / elapsed,
    }
