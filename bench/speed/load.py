"""Load on one server for some seconds, by wrk: what it came to, and what the server spent on it."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONNECTIONS: Final = 32
_SCRIPT: Final = Path(__file__).with_name("rounds.lua")
_PATIENCE: Final = 30.0


class Failed(Exception):
    """Something that is measured did not do what it must. The message says what, in a sentence."""


@dataclass(frozen=True)
class Load:
    """What some seconds of load came to."""

    requests: int
    seconds: float
    processor_seconds: float
    """Processor time of the server's process, all threads."""
    other_core_busy: float
    """The share of the other core that wrk and Redis used: near 1 they were the limit, not the server."""
    p50_us: int
    p99_us: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def per_processor_second(self) -> float:
        return self.requests / self.processor_seconds


def together(loads: Sequence[Load]) -> Load:
    """Several loads of the same server as one. Of the percentiles the worst."""
    seconds = sum(each.seconds for each in loads)
    return Load(
        requests=sum(each.requests for each in loads),
        seconds=seconds,
        processor_seconds=sum(each.processor_seconds for each in loads),
        other_core_busy=sum(each.other_core_busy * each.seconds for each in loads) / seconds,
        p50_us=max(each.p50_us for each in loads),
        p99_us=max(each.p99_us for each in loads),
    )


def cores() -> tuple[list[int], list[int]]:
    """The core of the server that is measured, and that of the load and of Redis. The same where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return [allowed[0]], [allowed[-1]]


def pin(pid: int, to: Sequence[int]) -> None:
    """Keep a process, its threads and its children to these cores. Threads that it starts later stay there too."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), to)
        for child in task.joinpath("children").read_text().split():
            pin(int(child), to)


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used so far: all its threads, ended ones too, in the kernel's nanoseconds.

    It is the clock that clock_getcpuclockid(3) names: /proc/PID/stat counts ticks of 10 ms, and /proc/PID/schedstat
    the first thread.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError as error:
        raise Failed(f"the server (process {pid}) has ended") from error


def load(url: str, headers: Path, pid: int, *, store: int | None = None, seconds: int = 1) -> Load:
    """Load it from `CONNECTIONS` connections; each request bears the next line of the file ``headers``.

    ``pid`` is the server's process, ``store`` that of the Redis which shares a core with wrk. Raises `Failed` when a
    request was not answered, or answered with an error.
    """
    pinned = ["taskset", "-c", ",".join(map(str, cores()[1]))]
    how = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(_SCRIPT)]
    before, other_before = processor_seconds(pid), _other_seconds(store)
    done = subprocess.run(
        [*pinned, "wrk", *how, url, "--", str(headers)],
        capture_output=True, text=True, check=False, timeout=seconds + _PATIENCE,
    )  # fmt: skip
    spent, other = processor_seconds(pid) - before, _other_seconds(store) - other_before
    counted = read(done.stdout)
    if counted is None:
        raise Failed(f"wrk failed: {(done.stderr or done.stdout).strip()[-300:]}")
    if counted["refused"] or counted["broken"] or not counted["requests"]:
        raise Failed(
            f"of {counted['requests']} requests {counted['refused']} were refused and {counted['broken']} not answered"
        )
    took = counted["microseconds"] / 1e6
    return Load(counted["requests"], took, spent, other / took, counted["p50_us"], counted["p99_us"])


def read(output: str) -> dict[str, int] | None:
    """What the script of wrk has counted, or None when it never came so far."""
    found = re.search(r"^COUNTED (\{.*\})$", output, re.MULTILINE)
    return json.loads(found[1]) if found else None


def _other_seconds(store: int | None) -> float:
    """Of the loads that have ended, and of the store."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime + (processor_seconds(store) if store is not None else 0.0)
