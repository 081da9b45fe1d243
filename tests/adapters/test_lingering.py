"""Nothing that one request does to what it was given is seen by a later one, nor by anybody else."""

from __future__ import annotations

import copy
import datetime
import json
import pickle
import types
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask, request
from litestar import Litestar, Request, get
from litestar.params import FromPath
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.routing import Route

from coatcheck import Auth, Identity, Mode, SubjectFacts, fastapi, flask, litestar, starlette
from coatcheck.adapters import asgi
from coatcheck.blocking import Auth as BlockingAuth
from coatcheck.flask import Coatcheck
from coatcheck.testing.clock import TravelClock
from tests.adapters.apps import django_wsgi
from tests.adapters.apps.flask import WsgiServed
from tests.adapters.apps.support import sent, served
from tests.adapters.suite.contract import Served, Setting

CONSTANT: dict[str, Any] = {
    "name": "Ann", "team": "reports", "tags": ["a", {"deep": [1, {"er": []}]}], "empty": {}, "pair": ([1], 2),
    "since": datetime.date(2026, 1, 2),
}  # fmt: skip
"""What the hook gives for everybody, as applications do."""
LISTS = ("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "__iadd__", "__imul__")
DICTS = ("update", "setdefault", "pop", "popitem", "clear", "__ior__", "__setitem__", "__delitem__")
SETS = ("add", "discard", "remove", "pop", "clear", "update", "__ior__", "keep")
ARGUMENTS: list[tuple[Any, ...]] = [
    (),
    ("admin",),
    (["admin"],),
    ({"admin": 1},),
    ("team", "admin"),
    (0, "admin"),
    (0,),
]


def hook(subject: str) -> SubjectFacts:
    claims = CONSTANT if subject == "ann" else {**CONSTANT, "since": None}
    return SubjectFacts(roles=frozenset({"reader"}), claims=claims)


def vandalise(thing: Any, seen: set[int] | None = None) -> None:
    """Try to change everything that is reachable, as a careless handler would, and a mean one."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, (str, bytes, int, float, type, type(None), types.FunctionType)):
        return
    seen.add(id(thing))
    inner = [_attribute(thing, name) for name in dir(thing) if not name.startswith("__")]
    inner += list(thing.values()) if isinstance(thing, dict) else []
    inner += list(thing) if isinstance(thing, (list, tuple, frozenset)) else []
    for name in {name for name in dir(thing) if not name.startswith("__")} | {"is_admin"}:
        _try(lambda name=name: setattr(thing, name, "admin"))
        _try(lambda name=name: delattr(thing, name))
    _try(lambda: vars(thing).update(is_admin=True))
    for name in {*LISTS, *DICTS, *SETS, *(["__init__"] if isinstance(thing, (dict, list)) else [])}:
        for arguments in ARGUMENTS:
            _try(lambda name=name, arguments=arguments: getattr(thing, name)(*arguments))
    for value in inner:
        if type(value).__module__.startswith(("coatcheck", "starlette", "builtins", "types")) and not callable(value):
            vandalise(value, seen)


def _attribute(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name)
    except Exception:
        return None


def _try(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:
        return


def shown(identity: Identity, *more: Any) -> Any:
    """All that can be seen of somebody, as JSON has it."""
    given = asdict(identity)
    return json.loads(
        json.dumps(
            [given, *more, hasattr(identity, "is_admin")],
            default=lambda x: sorted(x) if isinstance(x, frozenset) else str(x),
        )
    )


Looking = Callable[[list[Any], Any], Any]


def look(visit: str, things: list[Any], seen: Any) -> Any:
    """What a handler does: the first visit of a credential breaks everything, each tells what it sees."""
    if visit == "vandal":
        for thing in things:
            vandalise(thing)
    return seen


@asynccontextmanager
async def with_asgi(auth: Auth) -> AsyncIterator[Served]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with auth.lifespan() as state:
                scope["state"].update(state)
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        user = scope[asgi.IDENTITY]
        await JSONResponse(look(scope["path"][1:], [user], shown(user)))(scope, receive, send)

    guarded = asgi.AuthMiddleware(app, auth)
    async with served(guarded, auth) as web:
        yield web


@asynccontextmanager
async def with_starlette(auth: Auth) -> AsyncIterator[Served]:
    def answer(connection: HTTPConnection) -> JSONResponse:
        user = starlette.current_user(connection)
        seen = shown(
            user, list(connection.auth.scopes), connection.user.is_authenticated, connection.user.display_name,
            hasattr(connection.user, "is_admin"), hasattr(connection.auth, "is_admin"),
            connection.user.identity == user,
        )  # fmt: skip
        things = [connection.auth.scopes, connection.auth, connection.user, user, connection.scope[asgi.IDENTITY]]
        return JSONResponse(look(connection.path_params["visit"], things, seen))

    async def show(request: Any) -> JSONResponse:
        return answer(request)

    app = Starlette(
        routes=[Route("/{visit}", show)], lifespan=auth.lifespan,
        middleware=[Middleware(starlette.AuthMiddleware, auth=auth)],
    )  # fmt: skip
    async with served(app, auth) as web:
        yield web


@asynccontextmanager
async def with_fastapi(auth: Auth) -> AsyncIterator[Served]:
    app = FastAPI(lifespan=auth.lifespan)

    @app.get("/{visit}")
    async def show(visit: str, user: fastapi.CurrentUser, maybe: fastapi.OptionalUser) -> Any:
        return look(visit, [user, maybe], shown(user))

    async with served(app, auth) as web:
        yield web


@asynccontextmanager
async def with_litestar(auth: Auth) -> AsyncIterator[Served]:
    @get("/{visit:str}")
    async def show(request: Request[Any, Any, Any], visit: FromPath[str], current_user: litestar.CurrentUser) -> Any:
        return look(
            visit, [current_user, request.user, request.auth], shown(current_user, request.user == current_user)
        )

    async with served(Litestar([show], plugins=[litestar.CoatcheckPlugin(auth)]), auth) as web:
        yield web


@asynccontextmanager
async def with_flask(auth: BlockingAuth) -> AsyncIterator[Served]:
    app = Flask(__name__)
    Coatcheck(app, auth)

    @app.get("/<visit>")
    @flask.login_required
    def show(visit: str) -> Any:
        user = flask.optional_user()
        assert user is not None
        roles = flask.current_user

        def add() -> None:
            roles.roles |= {"admin"}  # type: ignore[misc]

        if visit == "vandal":
            _try(add)
        return look(visit, [user, flask.current_user], shown(user, request.path == f"/{visit}"))

    yield WsgiServed(app, auth)


@asynccontextmanager
async def with_django(auth: BlockingAuth) -> AsyncIterator[Served]:
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import JsonResponse
    from django.test import override_settings
    from django.urls import path

    from coatcheck.django import current_user, login_required

    @login_required
    def show(request: Any, visit: str) -> Any:
        user = current_user(request)
        seen = shown(
            user,
            request.user.pk,
            request.user.is_staff,
            request.user.has_perm("all"),
            hasattr(request.user, "is_admin"),
        )
        return JsonResponse(look(visit, [user, request.user], seen), safe=False)

    routes: Any = types.ModuleType("routes")
    routes.urlpatterns = [path("<visit>", show)]
    with django_wsgi.project(auth), override_settings(ROOT_URLCONF=routes):
        app = WSGIHandler()
        yield WsgiServed(app, auth)


KINDS: dict[str, Any] = {
    "asgi": with_asgi, "starlette": with_starlette, "fastapi": with_fastapi, "litestar": with_litestar,
    "flask": with_flask, "django": with_django,
}  # fmt: skip


@pytest.mark.parametrize("mode", list(Mode), ids=str)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
async def test_a_request_leaves_nothing_behind(kind: Any, mode: Mode) -> None:
    """Whatever a handler does to what it is given, later requests of the credential see what was verified, other people
    what is theirs, and the application's own constant stays."""
    before = copy.deepcopy(CONSTANT)
    if mode is not Mode.SESSION:
        CONSTANT["since"] = None  # JSON has no dates
    arguments = Setting(clock=TravelClock()).arguments() | {"subjects": hook}
    blocking = kind in (with_flask, with_django)
    auth: Any = (BlockingAuth if blocking else Auth)(**arguments)
    try:
        async with kind(auth) as web:
            headers = sent(await web.run(lambda inner: inner.login("ann", mode=mode)))
            first = (await web.request("GET", "/look", headers=headers)).json()
            assert first[0]["claims"]["tags"] == ["a", {"deep": [1, {"er": []}]}]
            assert (await web.request("GET", "/vandal", headers=headers)).status == 200
            for _ in range(2):
                assert (await web.request("GET", "/look", headers=headers)).json() == first
            for subject in ("ann", "bob"):
                others = sent(await web.run(lambda inner, who=subject: inner.login(who, mode=mode)))
                seen = (await web.request("GET", "/look", headers=others)).json()[0]
                assert seen["roles"] == ["reader"]
                assert seen["claims"] == {**first[0]["claims"], **({} if subject == "ann" else {"since": None})}
    finally:
        CONSTANT.clear()
        CONSTANT.update(before)
        if blocking:
            auth.close()


def test_an_identity_is_frozen_to_its_last_list() -> None:
    """However it was made; what copies it gets something ordinary, and JSON is as it was."""
    given: dict[str, Any] = {"tags": [["a"]], "of": {"one": {"two": [3]}}, "pair": ({"x": 1},), "set": {1, 2}}
    roles = {"reader"}
    facts = SubjectFacts(roles=roles, claims=given)  # type: ignore[arg-type]
    ann = Identity(
        subject="ann", session_id="s", roles=roles, claims=given, auth_time=1.0, amr=["pwd"], mode=Mode.JWT,  # type: ignore[arg-type]
    )  # fmt: skip
    for made in (facts, ann, replace(ann, subject="bob")):
        expected = copy.deepcopy(given)
        vandalise(made)
        assert (made.claims, made.roles) == (expected, {"reader"})
    roles.add("admin")
    given["tags"][0].append("b")
    assert (ann.roles, ann.claims["tags"], ann.amr) == ({"reader"}, [["a"]], ("pwd",))
    assert json.dumps(ann.claims["tags"]) == '[["a"]]'
    for copied in (copy.copy(ann.claims), copy.deepcopy(ann.claims), pickle.loads(pickle.dumps(ann.claims))):
        copied["of"]["one"]["two"].append(4)
        assert type(copied) is dict
    assert ann.claims["of"]["one"]["two"] == [3]


@pytest.mark.parametrize("wrong", [{"x": object()}, {"x": [bytearray()]}, {"x": {"y": {object: 1}.keys()}}, ["a"], "a"])
def test_claims_that_cannot_be_frozen(wrong: Any) -> None:
    """What could be changed all the same is refused where it is said."""
    with pytest.raises(TypeError, match="claims"):
        SubjectFacts(claims=wrong)


def test_roles_of_every_kind() -> None:
    """Whatever can be gone through once is a set of roles."""
    for given in (["a", "b"], ("a", "b"), {"a", "b"}, {"a": 1, "b": 2}, (role for role in "ab"), map(str, "ab")):
        assert SubjectFacts(roles=given).roles == frozenset("ab")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["admin", [1], [["admin"]], [None]])
def test_roles_that_are_none(wrong: Any) -> None:
    """A text is no set of roles: "admin" would be in "administrator"."""
    with pytest.raises(TypeError, match="roles"):
        SubjectFacts(roles=wrong)
