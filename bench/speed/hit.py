"""What a hit costs, in one process: the verifier's, and what the whole middleware adds, beside PyJWT's HS256 decode.

    python -m bench.speed.hit [--quick]

Everything is timed in short slices that alternate, over the credentials of many users. The ratios are those of one
round; the loop that calls is part of every figure.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from statistics import median
from typing import Any, Final

import jwt as pyjwt

from coatcheck import Auth, Credentials, Mode, Policy, SubjectFacts
from coatcheck.adapters.asgi import AuthMiddleware

USERS: Final = 1000
ROUNDS: Final = 201
_SECRET: Final = "one secret of the benchmark, long enough for HS256"
_ISSUER: Final = "https://auth.example.com"


def run(quick: bool) -> dict[str, Any]:
    """For each mode, a number per round: ``hit_us`` and ``middleware_us``, and each as a share of ``pyjwt_us``."""
    rounds = ROUNDS // 10 if quick else ROUNDS
    return {"users": USERS, "modes": {mode.value: asyncio.run(_measure(mode, rounds)) for mode in Mode}}


async def _measure(mode: Mode, rounds: int) -> dict[str, Any]:
    facts = SubjectFacts(roles=frozenset({"reader", "editor"}))
    # The lease outlasts the slices: between them the follower may have to wait for its turn on a busy machine.
    policy = Policy(max_staleness=30.0)
    async with Auth("memory://", subjects=lambda subject: facts, policy=policy) as auth:
        names, keys = zip(
            *[_presented(await auth.login(f"user-{number}", mode=mode)) for number in range(USERS)], strict=True
        )
        middleware = AuthMiddleware(_application, auth)
        for key, name in zip(keys, names, strict=True):
            await middleware(_scope(name, key), _nothing, _nothing)  # every credential is seen
        known, tokens = auth.known, [_token(number) for number in range(USERS // 4)]
        assert all(known(key) for key in keys)
        found: dict[str, list[float]] = {"hit_us": [], "middleware_us": [], "pyjwt_us": []}
        for _ in range(rounds):
            bare, guarded = ([_scope(name, key) for name, key in zip(names, keys, strict=True)] for _ in range(2))
            found["hit_us"].append(each(keys, known))
            without = each(bare, _driven(_application))
            found["middleware_us"].append(each(guarded, _driven(middleware)) - without)
            found["pyjwt_us"].append(each(tokens, _decode))
            await asyncio.sleep(0)
    shares = {
        name.replace("_us", "_share"): [
            round(ours / theirs, 6) for ours, theirs in zip(found[name], found["pyjwt_us"], strict=True)
        ]
        for name in ("hit_us", "middleware_us")
    }
    return {name: [round(value, 4) for value in values] for name, values in found.items()} | shares


def each(arguments: Sequence[Any], call: Callable[[Any], object]) -> float:
    """Microseconds of processor time per call, each with the next argument."""
    begun = time.thread_time_ns()
    for argument in arguments:
        call(argument)
    return (time.thread_time_ns() - begun) / len(arguments) / 1000


def _driven(app: Callable[[Any, Any, Any], Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
    """Runs an application through as an event loop does that never has to wait."""

    def drive(scope: Any) -> None:
        try:
            app(scope, _nothing, _nothing).send(None)
        except StopIteration:
            return
        raise AssertionError("a hit waited")

    return drive


async def _application(scope: Any, receive: Any, send: Any) -> None: ...


async def _nothing(*message: Any) -> Any: ...


def _presented(made: Credentials) -> tuple[bytes, bytes]:
    """The header of a request: its name and value."""
    if made.session_token is not None:
        return b"cookie", f"coatcheck={made.session_token}".encode()
    if made.session.mode is Mode.JWT:
        return b"authorization", f"Bearer {made.access_token}".encode()
    return b"cookie", f"coatcheck-access={made.access_token}".encode()


def _scope(name: bytes, value: bytes) -> dict[str, Any]:
    """As uvicorn makes it for a request of the HTTP part."""
    return {
        "type": "http", "method": "GET", "scheme": "http", "path": "/", "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8000"), (name, value)], "client": ("127.0.0.1", 1),
    }  # fmt: skip


def _token(number: int) -> str:
    """Eight claims, as an access token has them."""
    now = int(time.time())
    claims = {
        "iss": _ISSUER, "sub": f"user-{number}", "sid": f"{number:022}", "jti": f"{number:022}",
        "iat": now, "exp": now + 3600, "auth_time": now, "roles": ["reader", "editor"],
    }  # fmt: skip
    return pyjwt.encode(claims, _SECRET, algorithm="HS256")


def _decode(token: str) -> object:
    return pyjwt.decode(token, _SECRET, algorithms=["HS256"], issuer=_ISSUER)


def table(data: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'mode':<12}{'hit':>10}{'of PyJWT':>12}{'middleware':>14}{'of PyJWT':>12}{'PyJWT HS256':>14}"]
    for mode, found in data["modes"].items():
        middle = {name: median(values) for name, values in found.items()}
        hit, whole = f"1/{1 / middle['hit_share']:.0f}", f"1/{1 / middle['middleware_share']:.1f}"
        lines.append(
            f"{mode:<12}{middle['hit_us']:>7.3f} µs{hit:>12}{middle['middleware_us']:>11.3f} µs{whole:>12}"
            f"{middle['pyjwt_us']:>11.2f} µs"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true")
    print(table(run(parser.parse_args().quick)))


if __name__ == "__main__":
    main()
