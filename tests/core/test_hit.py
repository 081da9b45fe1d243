"""A hit does no I/O, no await, no lock and no crypto: every call it makes is counted."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jwt as pyjwt
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coatcheck import Auth, Mode
from coatcheck import starlette as starlette_adapter
from coatcheck.adapters.asgi import IDENTITY, AuthMiddleware
from coatcheck.starlette import logged_in

from .conftest import presented

STEPS = 195
STEPS_PER_HEADER = 20
STARLETTE_STEPS = 300
ANSWER_STEPS = 58
"""Interpreters differ a little in what they count."""

MODES = pytest.mark.parametrize("mode", list(Mode))


def calls_of(work: Callable[[], object]) -> list[str]:
    """The name of every function, in Python or in C, that runs."""
    seen: list[str] = []

    def profile(frame: Any, event: str, arg: Any) -> None:
        if event == "c_call":
            seen.append(arg.__name__)
        elif event == "call":
            seen.append(frame.f_code.co_name)

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    seen.remove("setprofile")
    return seen


@MODES
async def test_what_a_hit_calls(auth: Auth, mode: Mode) -> None:
    """A hit calls itself, one dict lookup and the local clock (a C partial, which no profile sees)."""
    credential = presented(await auth.login("ann", mode=mode))
    await auth.verify(credential)
    known, key = auth.verifier.known, credential.key
    assert calls_of(lambda: known(key)) == ["<lambda>", "known", "get"]


def scope_for(key: bytes, method: str = "GET") -> dict[str, Any]:
    name = b"authorization" if key.startswith(b"Bearer ") else b"cookie"
    return {
        "type": "http", "method": method, "scheme": "https", "path": "/", "query_string": b"",
        "headers": [(b"host", b"app.example"), (b"accept", b"*/*"), (name, key)], "client": ("10.0.0.1", 1),
    }  # fmt: skip


@MODES
async def test_middleware_runs_through_without_waiting(auth: Auth, mode: Mode) -> None:
    """On a hit the middleware reaches the application without one suspension, and calls nothing that could block."""
    credential = presented(await auth.login("ann", mode=mode))
    await auth.verify(credential)
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope[IDENTITY])

    middleware = AuthMiddleware(app, auth)
    scope = scope_for(credential.key)

    def run() -> None:
        coroutine = middleware(scope, None, None)  # type: ignore[arg-type]
        with pytest.raises(StopIteration):
            coroutine.send(None)

    called = set(calls_of(run))
    assert seen[0].subject == "ann"
    foreign = {"acquire", "verify", "hmac_digest", "digest", "compare_digest", "b64decode", "execute", "create_task"}
    assert not called & foreign


def steps_of(work: Callable[[], object]) -> int:
    """How many instructions of the interpreter it takes."""
    steps = 0

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


@MODES
async def test_what_the_middleware_adds(auth: Auth, mode: Mode) -> None:
    """On a hit the middleware adds a bounded number of steps to a request, a few more for each further header."""
    credential = presented(await auth.login("ann", mode=mode))
    await auth.verify(credential)

    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    def run(served: Any, scope: Any) -> None:
        with pytest.raises(StopIteration):
            served(scope, None, None).send(None)

    def added(headers: int) -> int:
        scopes = [scope_for(credential.key) for _ in range(2)]
        for scope in scopes:
            scope["headers"] = [*scope["headers"], *[(b"x-more", b"1")] * headers]
        bare, guarded = (
            steps_of(lambda served=served, scope=scope: run(served, scope))  # type: ignore[misc]
            for served, scope in zip((app, AuthMiddleware(app, auth)), scopes, strict=True)
        )
        return guarded - bare

    assert 0 < added(0) <= STEPS
    assert added(100) - added(0) <= 100 * STEPS_PER_HEADER


@MODES
async def test_what_an_answer_costs(auth: Auth, mode: Mode) -> None:
    """So does what is done to the answer, which says on what it depends."""
    credential = presented(await auth.login("ann", mode=mode))
    await auth.verify(credential)

    async def send(message: Any) -> None: ...

    async def silent(scope: Any, receive: Any, send: Any) -> None: ...

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})

    def run(served: Any) -> None:
        with pytest.raises(StopIteration):
            served(scope_for(credential.key), None, send).send(None)

    def added(app: Any) -> int:
        bare, guarded = (
            steps_of(lambda served=served: run(served))  # type: ignore[misc]
            for served in (app, AuthMiddleware(app, auth))
        )
        return guarded - bare

    assert 0 < added(app) - added(silent) <= ANSWER_STEPS


@MODES
async def test_what_starlette_adds(auth: Auth, mode: Mode) -> None:
    """Starlette's user, its scopes and a decorator come to a bounded number of steps besides."""
    credential = presented(await auth.login("ann", mode=mode))
    await auth.verify(credential)

    async def hello(request: Request) -> Response:
        return Response("hello")

    async def send(message: Any) -> None: ...

    def run(served: Any) -> None:
        with pytest.raises(StopIteration):
            served(scope_for(credential.key) | {"root_path": ""}, None, send).send(None)

    bare = Starlette(routes=[Route("/", hello)])
    guarded = Starlette(
        routes=[Route("/", logged_in(hello))], middleware=[Middleware(starlette_adapter.AuthMiddleware, auth=auth)]
    )
    for app in (bare, guarded):
        run(app)  # builds its stack, and the user
    # The fewest: what other tests have left behind may be looked up again, once.
    with_us, without = (min(steps_of(partial(run, app)) for _ in range(3)) for app in (guarded, bare))
    assert 0 < with_us - without <= STARLETTE_STEPS


def cost(work: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


@MODES
async def test_a_hit_costs_next_to_nothing(auth: Auth, mode: Mode) -> None:
    """A hit costs at most a twentieth of PyJWT's decode of an HS256 token, in the same run."""
    credential = presented(await auth.login("ann", mode=mode))
    await auth.verify(credential)
    known, key = auth.verifier.known, credential.key
    claims = dict.fromkeys(("iss", "sub", "sid", "jti", "client_id"), "x" * 16)
    secret = "k" * 32
    token = pyjwt.encode({**claims, "aud": "a", "iat": 1, "exp": 9999999999}, secret, algorithm="HS256")
    decode = pyjwt.PyJWT().decode
    ratios = []
    for _ in range(15):
        theirs = cost(lambda: decode(token, secret, algorithms=["HS256"], audience="a"), 200)
        ratios.append(cost(lambda: known(key), 2000) / theirs)
    assert statistics.median(ratios) <= 1 / 20
