"""What the first sight of a credential costs: Coatcheck's, the bare primitive's, and that of other libraries.

    python -m bench.speed.first_sight [--quick]

Coatcheck is measured as a whole, from the text of a request's Authorization header to the identity in the table
(`AccessVerifier.verify`), and the reading of the token alone. All ways take turns in slices of some milliseconds, over
the tokens of 1,000 users, each seen for the first time in every slice; figures are processor time of the thread. The
Python part runs in the interpreter of the contenders, where there is one, so that all use the same `cryptography`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

from coatcheck import Auth, Mode, Policy, SubjectFacts
from coatcheck.stores.memory import MemoryStore

from . import first_sight_ways as ways
from .first_sight_ways import ALGORITHMS, ISSUER, PRIMITIVE, PYJWT, READ, WHOLE, Way

USERS: Final = 1000
SLICE: Final = 50
"""Tokens of a slice: every twentieth round begins with the first user again."""
FEWEST_ROUNDS: Final = 5
SESSION: Final = "session token"
_ROOT: Final = Path(__file__).parents[2]
_CONTENDERS: Final = _ROOT / "bench" / "contenders"
_AGE: Final = 3600.0


def run(quick: bool) -> dict[str, Any]:
    """``microseconds``: for each algorithm and way a number per round; ``node``: the same for Node's libraries;
    ``ratios``: for each algorithm, per round, ours to the primitive and to PyJWT. Raises `RuntimeError`."""
    found = _in_contenders_python(8 if quick else 60)
    found["node"] = _node(4 if quick else 30)
    found["ratios"] = {algorithm: ratios(costs) for algorithm, costs in found["microseconds"].items()}
    return found


def _in_contenders_python(seconds: float) -> dict[str, Any]:
    own = _CONTENDERS / "python" / ".venv" / "bin" / "python"
    environment = os.environ | {"PYTHONPATH": f"{_ROOT / 'src'}{os.pathsep}{_ROOT}", "PYTHONWARNINGS": "ignore"}
    command = [str(own if own.exists() else sys.executable), "-m", "bench.speed.first_sight", "--measure", str(seconds)]
    return _said(command, environment, _ROOT, seconds)


def _node(seconds: float) -> dict[str, Any]:
    node, folder = shutil.which("node"), _CONTENDERS / "node"
    if node is None or not (folder / "node_modules").exists():
        return {"missing": "node or its libraries are not installed: run scripts/setup bench"}
    command = [node, "first_sight.mjs", "--seconds", str(seconds)]
    return _said(command, os.environ | {"NODE_ENV": "production"}, folder, seconds)


def _said(command: Sequence[str], environment: dict[str, str], folder: Path, seconds: float) -> dict[str, Any]:
    """What a program prints as JSON."""
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds + 60
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} could not measure: {done.stderr.strip()[-400:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ratios(costs: dict[str, list[float]]) -> dict[str, list[float]]:
    def each(mine: str, other: str) -> list[float]:
        pairs = zip(costs.get(mine, ()), costs.get(other, ()), strict=False)
        return [round(a / b, 4) for a, b in pairs]

    wanted = {
        "whole_to_primitive": (WHOLE, PRIMITIVE), "read_to_primitive": (READ, PRIMITIVE),
        "whole_to_pyjwt": (WHOLE, PYJWT), "read_to_pyjwt": (READ, PYJWT),
    }  # fmt: skip
    return {name: each(*pair) for name, pair in wanted.items() if pair[0] in costs and pair[1] in costs}


# --- in the measuring process -------------------------------------------------------------------------------


async def measure(seconds: float) -> dict[str, Any]:
    """The Python part, for about so many seconds."""
    begun = time.monotonic()
    runs: list[tuple[str, Way, list[float]]] = []
    versions = {"python": platform.python_version()} | {name: version(name) for name in ("cryptography", "msgspec")}
    missing: dict[str, str] = {}
    running: list[Auth] = []
    try:
        for algorithm in ALGORITHMS:
            auth = await started(algorithm)
            running.append(auth)
            tokens = [await access_token(auth, number) for number in range(USERS)]
            key = auth.access_tokens.keyring.signer(auth.clock.now())
            theirs, found, missing = ways.others(key, ways.plain_tokens(key, USERS))
            versions |= found
            for way in (*ways.ours(auth, tokens), ways.primitive(key, tokens), *theirs):
                await check(way)
                runs.append((algorithm, way, []))
        stamps = [await _session_token(running[0], number) for number in range(USERS)]
        runs += [(SESSION, way, []) for way in ways.session_tokens(running[0], stamps)]
        await _take_turns(runs, until=begun + seconds)
    finally:
        for auth in running:
            await auth.close()
    costs: dict[str, dict[str, list[float]]] = {}
    for algorithm, way, slices in runs:
        costs.setdefault(algorithm, {})[way.name] = slices
    return {"users": USERS, "versions": versions, "missing": missing, "microseconds": costs}


async def started(algorithm: str) -> Auth:
    """An `Auth` as it is in a deployment that has run for an hour: the view reaches back to before the tokens, so that
    no store is asked about them. The lease outlasts the slices."""
    age = _AGE
    store = MemoryStore(wall=lambda: time.time() - age)
    age = 0.0
    facts = SubjectFacts(roles=frozenset({"reader", "editor"}))
    policy = Policy(issuer=ISSUER, signing_algorithm=algorithm, max_staleness=30.0)
    auth = Auth(store, secret="7Qm0vXr2LkT9dHs4WbNc8YpEf3GzJa6U", subjects=lambda subject: facts, policy=policy)
    await auth.start()
    return auth


async def access_token(auth: Auth, number: int) -> str:
    token = (await auth.login(f"user-{number:04}", mode=Mode.JWT)).access_token
    assert token is not None
    return token


async def _session_token(auth: Auth, number: int) -> str:
    token = (await auth.login(f"user-{number:04}", mode=Mode.SESSION)).session_token
    assert token is not None
    return token


async def _take_turns(runs: list[tuple[str, Way, list[float]]], until: float) -> None:
    """Slices of every way, there and back again, until the time is over."""
    round_, longest = 0, 0.0
    while round_ < FEWEST_ROUNDS or time.monotonic() + longest < until:
        begun = time.monotonic()
        start = round_ * SLICE % USERS
        for _, way, slices in runs if round_ % 2 == 0 else reversed(runs):
            slices.append(round(await cost(way, way.items[start : start + SLICE]), 4))
            await asyncio.sleep(0)  # the followers have their turn
        longest = max(longest, time.monotonic() - begun)
        round_ += 1


async def cost(way: Way, items: Sequence[Any]) -> float:
    """Microseconds of processor time per item."""
    call: Callable[[Any], Any] = way.call
    if way.forget is not None:
        for item in items:
            way.forget(item)
    if way.waits:
        begun = time.thread_time_ns()
        for item in items:
            await call(item)
    else:
        begun = time.thread_time_ns()
        for item in items:
            call(item)
    return (time.thread_time_ns() - begun) / len(items) / 1000


async def check(way: Way) -> None:
    """It takes what is good and refuses what is not: else its figure would be worth nothing."""
    if await _tried(way, way.items[0]) is None:
        raise RuntimeError(f"{way.name} returns nothing for a good token")
    try:
        await _tried(way, _changed(way.items[0]))
    except Exception:  # each library has its own
        return
    raise RuntimeError(f"{way.name} accepts a changed token")


async def _tried(way: Way, item: Any) -> object:
    answer = way.call(item)
    return await answer if isinstance(answer, Awaitable) else answer


def _changed(item: Any) -> Any:
    """With another signature."""
    if isinstance(item, tuple):
        return item[0] + b"x", item[1]
    place = item.rindex(b"." if isinstance(item, bytes) else ".") + 5
    other = ("B" if item[place : place + 1] in ("A", b"A") else "A") * 4
    return item[:place] + (other.encode() if isinstance(item, bytes) else other) + item[place + 4 :]


# --- for people ---------------------------------------------------------------------------------------------


def table(data: dict[str, Any]) -> str:
    """The figures for people: median, and the fastest and slowest tenth's bounds."""
    lines = []
    for algorithm, costs in data["microseconds"].items():
        lines += [
            f"{algorithm:<44}{'µs':>9}{'least':>9}{'  10 % to 90 %':<18}{'of the signature check':>24}{'of PyJWT':>10}"
        ]
        node = {
            f"Node: {name}": slices for name, slices in data["node"].get("microseconds", {}).get(algorithm, {}).items()
        }
        for name, slices in (costs | node).items():
            lines.append(_line(name, slices, {} if name.startswith("Node: ") else costs))
    lines += list(data["missing"].values()) + [text for text in [data["node"].get("missing")] if text]
    versions = data["versions"] | data["node"].get("versions", {})
    return "\n".join([*lines, ", ".join(f"{name} {number}" for name, number in versions.items())])


def _line(name: str, slices: Sequence[float], beside: dict[str, list[float]]) -> str:
    ordered = sorted(slices)
    tenth = len(ordered) // 10
    spread = f"{ordered[tenth]:.1f} to {ordered[-1 - tenth]:.1f}"
    shares = "".join(
        f"{median(a / b for a, b in zip(slices, beside[other], strict=False)):>{width}.2f}" if other in beside else ""
        for other, width in ((PRIMITIVE, 24), (PYJWT, 10))
    )
    return f"  {name:<42}{median(slices):>9.2f}{ordered[0]:>9.2f}  {spread:<16}{shares}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--measure", type=float, help="so many seconds, in this process, and print JSON")
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(asyncio.run(measure(options.measure))))
    else:
        print(table(run(options.quick)))


if __name__ == "__main__":
    main()
