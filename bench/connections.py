"""What open guarded connections cost, and how soon they end.

    python bench/connections.py [--guards 100000] [--revocations 50]

First, in one process: the memory of a guard, the time to enter, the time to apply an event while all are open, and the
time to end all of them, as when the lease lapses. Then real servers: a WebSocket and a stream of server-sent
events behind uvicorn, over SQLite; this process revokes, and the figure is the time from the return of `revoke` to the
moment at which the client has been told.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from coatcheck import Auth, Mode, SubjectFacts
from coatcheck.credentials.transport import bearer
from coatcheck.errors import StoreUnavailable
from coatcheck.model import Event, EventKind
from coatcheck.policy import Policy
from tests.adapters.live import auth_of
from tests.adapters.test_connections import listening, live

SECRET = "a secret of the benchmark, 32 bytes or more"


async def many(count: int) -> None:
    """Guards in one process, each with a session of its own."""
    policy = Policy(table_entries=2 * count, table_bytes=1 << 31, max_staleness=600)
    async with Auth("memory://", secret=SECRET, subjects=lambda _: SubjectFacts(), policy=policy) as auth:
        made = await auth.login("ann", mode=Mode.JWT)
        proto = await auth.verify(bearer(made.access_token or ""))
        entry = next(iter(auth.table.of_session(proto.session_id)))
        identities = []
        for number in range(count):
            identity = type(proto)(
                subject=f"subject {number}", session_id=f"session {number:017d}", roles=proto.roles,
                claims=proto.claims, auth_time=0.0, amr=proto.amr, mode=proto.mode, expires=proto.expires,
                token_id=f"token {number}",
            )  # fmt: skip
            identities.append(identity)
            auth.table.put(type(entry)(f"key {number}", identity, entry.deadline, seen=0.0))
        ended = 0

        def then(watch: Any) -> None:
            nonlocal ended
            ended += 1

        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        watches = [await auth.guards.watch(identity, then) for identity in identities]
        size = (tracemalloc.get_traced_memory()[0] - before) / count
        tracemalloc.stop()
        for watch in watches:
            watch.close()
        began = time.perf_counter()
        watches = [await auth.guards.watch(identity, then) for identity in identities]
        entered = time.perf_counter() - began
        began = time.perf_counter()
        for number in range(10_000):
            auth.guards.apply(Event(kind=EventKind.SESSION_REVOKED, at=0.0, session_id=f"another {number}"))
        missed = (time.perf_counter() - began) / 10_000
        began = time.perf_counter()
        for number in range(1000):
            auth.guards.apply(Event(kind=EventKind.SESSION_REVOKED, at=0.0, session_id=f"session {number:017d}"))
        met = (time.perf_counter() - began) / 1000
        assert ended == 1000
        began = time.perf_counter()
        auth.guards.look()
        looked = time.perf_counter() - began
        began = time.perf_counter()
        auth.guards._end_all(auth.guards._all(), StoreUnavailable("measured"))
        lapsed = time.perf_counter() - began
    print(f"{count} open guards: {size:.0f} bytes each; {entered / count * 1e6:.1f} µs to enter")
    print(f"an event of another session: {missed * 1e6:.2f} µs; of one of them: {met * 1e6:.1f} µs")
    print(f"a tick of the timer: {looked * 1e6:.0f} µs; to end all: {lapsed * 1e3:.0f} ms")


async def soon(count: int) -> None:
    """Real servers, one client at a time."""
    with tempfile.TemporaryDirectory() as name:
        url = f"sqlite:///{name}/coatcheck.db"
        with live(Path(name), LIVE_URL=url) as at:
            async with auth_of({"LIVE_URL": url}) as auth:
                for scheme, path in (("ws", "/plain/auto"), ("http", "/events")):
                    delays = []
                    for _ in range(count):
                        made = await auth.login("ann", mode=Mode.JWT)
                        async with listening(f"{scheme}://{at}{path}", made) as heard:
                            await auth.revoke(made.session.id)
                            returned = time.monotonic()
                        delays.append(max(0.0, heard.ended_at - returned) * 1000)
                    middle = statistics.median(delays)
                    print(f"{path}: told after {middle:.1f} ms in the middle of {count}, {max(delays):.1f} ms at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guards", type=int, default=100_000)
    parser.add_argument("--revocations", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="a tenth of both")
    given = parser.parse_args()
    if given.quick:
        given.guards, given.revocations = given.guards // 10, given.revocations // 10
    asyncio.run(many(given.guards))
    asyncio.run(soon(given.revocations))


if __name__ == "__main__":
    main()
