"""How long after `revoke` has returned other processes still accept: on one SQLite file, in every mode.

    python bench/revocation.py [--processes 2] [--revocations 100]

Real processes hold a session's credential in memory and ask for it again and again, each pausing half a millisecond.
For each revocation the figure is the time from its return to the last acceptance anywhere; 0 when there was none.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from coatcheck import ApplicationSubjects, Auth, Credential, Credentials, Mode
from coatcheck.clock import boottime
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.transport import Carrier, bearer, cookie

_PAUSE = 0.0005


def presented(made: Credentials) -> Credential:
    """What a client of this mode sends."""
    if made.session_token is not None:
        return cookie(Carrier.SESSION_COOKIE, SECURE.session, made.session_token)
    if made.session.mode is Mode.JWT:
        return bearer(made.access_token or "")
    return cookie(Carrier.ACCESS_COOKIE, SECURE.access, made.access_token or "")


def verify_on_and_on(url: str, pipe: Connection) -> None:
    """One verifying process: for each credential that comes, say when it was accepted for the last time."""

    async def run() -> None:
        async with Auth(url, subjects=ApplicationSubjects()) as auth:
            pipe.send("ready")
            while (credential := await asyncio.to_thread(pipe.recv)) is not None:
                await auth.verify(credential)
                pipe.send("holds it")
                last = boottime()
                while auth.verifier.known(credential.key) is not None:
                    last = boottime()
                    await asyncio.sleep(_PAUSE)
                pipe.send(last)

    asyncio.run(run())


async def measure(url: str, pipes: list[Connection], revocations: int) -> dict[Mode, list[float]]:
    """Milliseconds from the return of `revoke` to the last acceptance, per mode."""
    found: dict[Mode, list[float]] = {mode: [] for mode in Mode}
    async with Auth(url, subjects=ApplicationSubjects()) as auth:
        for _ in range(revocations):
            for mode, delays in found.items():
                made = await auth.login("ann", mode=mode)
                for pipe in pipes:
                    pipe.send(presented(made))
                for pipe in pipes:
                    await asyncio.to_thread(pipe.recv)
                await auth.revoke(made.session.id)
                returned = boottime()
                last = [await asyncio.to_thread(pipe.recv) for pipe in pipes]
                delays.append(max(0.0, max(last) - returned) * 1000)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--revocations", type=int, default=100, help="per mode")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        context = multiprocessing.get_context("spawn")
        pairs = [context.Pipe() for _ in range(options.processes)]
        processes = [context.Process(target=verify_on_and_on, args=(url, theirs)) for _, theirs in pairs]
        for process in processes:
            process.start()
        pipes = [ours for ours, _ in pairs]
        for pipe in pipes:
            pipe.recv()
        found = asyncio.run(measure(url, pipes, options.revocations))
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join()
    print(f"Milliseconds from the return of revoke to the last acceptance in {options.processes} other processes")
    print(f"{'mode':<12}{'p50':>8}{'p99':>8}{'max':>8}")
    for mode, delays in found.items():
        p99 = statistics.quantiles(delays, n=100)[98] if len(delays) > 1 else delays[0]
        print(f"{mode.value:<12}{statistics.median(delays):>8.1f}{p99:>8.1f}{max(delays):>8.1f}")


if __name__ == "__main__":
    main()
