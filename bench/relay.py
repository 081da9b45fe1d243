"""What an issuing service pays for the services that follow it over HTTP.

    python bench/relay.py [--followers 100]

A real `coatcheck serve` with its sessions in Redis, and real `RemoteVerifier`s in one other process: requests a second,
processor time per request on both sides, bytes, and how often the service asks the store. Results go to
bench/results/calibration.json, under ``remote``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import secrets
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.scaling.deployments import processor_of  # noqa: E402
from bench.scaling.wire import Relay  # noqa: E402
from coatcheck import RemoteVerifier  # noqa: E402
from coatcheck.remote_client import IssuingService  # noqa: E402
from tests.support.servers import Redis, redis  # noqa: E402
from tests.support.service import running_service  # noqa: E402

RESULTS: Final = ROOT / "bench" / "results"


class Count:
    """Requests for the feed."""

    made = 0


def follow(url: str, key: str, count: int, seconds: float, pipe: Connection) -> None:
    """So many followers; says requests and processor time of a span of time, between two words of the parent."""
    plain = IssuingService.events

    async def counted(self: IssuingService, cursor: str | None, *, wait: float) -> Any:
        Count.made += 1
        return await plain(self, cursor, wait=wait)

    IssuingService.events = counted  # type: ignore[method-assign] # counting is all it adds

    async def run() -> None:
        verifiers = [RemoteVerifier(url, service_key=key) for _ in range(count)]
        for verifier in verifiers:
            await verifier.start()
        await asyncio.sleep(1)
        pipe.send("ready")
        before, spent = Count.made, time.process_time()
        await asyncio.sleep(seconds)
        pipe.send((Count.made - before, time.process_time() - spent))
        for verifier in verifiers:
            await verifier.close()

    asyncio.run(run())


def measure(followers: int, seconds: float) -> dict[str, float]:
    """Both sides of followers at rest."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    key = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory() as folder, redis() as server:
        environ = {"COATCHECK_SESSIONS": server.url(), "COATCHECK_SERVICE_KEYS": key}
        with running_service(Path(folder), env=environ) as service:
            relay = Relay(urlsplit(service.base_url).port or 0)
            threading.Thread(target=relay.run, daemon=True).start()
            relay.ready.wait()
            url = f"http://127.0.0.1:{relay.port}/auth"
            arguments = (url, key, followers, seconds, theirs)
            process = context.Process(target=follow, args=arguments, daemon=True)
            process.start()
            ours.recv()
            pid = service.process.pid
            spent, passed, reads = processor_of(pid), relay.bytes, _reads(server)
            requests, client = ours.recv()
            spent, passed = processor_of(pid) - spent, relay.bytes - passed
            reads = _reads(server) - reads
            process.join(20)
            relay.stop()
    return {
        "followers": followers, "requests_per_second": requests / seconds / followers,
        "request_us": spent / requests * 1e6, "client_us": client / requests * 1e6,
        "request_bytes": passed / requests, "store_reads_per_second": reads / seconds,
    }  # fmt: skip


def _reads(server: Redis) -> int:
    found = server.cli("INFO", "commandstats")
    return sum(int(line.split("calls=")[1].split(",")[0]) for line in found.splitlines() if "cmdstat_eval" in line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--followers", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="few followers, nothing written")
    options = parser.parse_args()
    found = measure(10, 2.0) if options.quick else measure(options.followers, 10.0)
    print(json.dumps(found, indent=1))
    if not options.quick:
        file = RESULTS / "calibration.json"
        all_found = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(all_found | {"remote": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
