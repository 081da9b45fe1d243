"""Nothing that says who somebody is is ever made of a request: what people write instead of the right thing."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Optional, TypedDict

import msgspec
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Header, Query, Security, WebSocket
from fastapi.exceptions import FastAPIError
from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.routing import Mount
from typing_extensions import TypeAliasType

from coatcheck import (
    Auth,
    Credential,
    Credentials,
    Identity,
    Login,
    Mode,
    Policy,
    Profile,
    RemoteVerifier,
    Session,
    SubjectFacts,
)
from coatcheck.credentials.arrival import Arrival
from coatcheck.errors import ConfigurationError
from coatcheck.fastapi import (
    CurrentUser,
    OptionalUser,
    attach,
    auth_app,
    auth_of,
    current_user,
    deliver,
    fresh,
    mount_auth,
    optional_user,
    requires,
)
from coatcheck.model import Account
from coatcheck.testing.clock import TravelClock
from tests.adapters.apps.support import sent, served
from tests.adapters.suite.contract import Setting

Admin = Annotated[Identity, requires("admin")]
NOTHING = object()
BY_ITSELF = (FastAPIError, PydanticUserError, AssertionError, AttributeError, NameError, TypeError)
"""What FastAPI raises for what it makes nothing of."""


class Form(BaseModel):
    user: Identity


class Typed(TypedDict):
    user: CurrentUser


@dataclass
class Inner:
    sessions: list[Session]


class Struct(msgspec.Struct):
    inner: Inner


REFUSED: dict[str, tuple[Any, Any]] = {
    "the type alone": (Identity, NOTHING),
    "with a default": (Identity, None),
    "or None": (Identity | None, None),
    "Optional": (Optional[Identity], None),  # noqa: UP045
    "a list": (list[Identity], NOTHING),
    "without Depends": (Annotated[Identity, current_user], NOTHING),
    "without Depends, or None": (Annotated[Identity | None, optional_user], None),
    "without its call": (Annotated[Identity, requires], NOTHING),
    "without its call, of another type": (Annotated[str, fresh], NOTHING),
    "Depends without its call": (Annotated[Identity, Depends(requires)], NOTHING),
    "fresh without its call": (Identity, Depends(fresh)),
    "Depends twice": (Identity, Depends(requires("admin"))),
    "Depends itself": (Annotated[Identity, Depends], NOTHING),
    "an empty Depends": (Identity, Depends()),
    "an empty Depends, annotated": (Annotated[Identity, Depends()], NOTHING),
    "the class as a dependency": (Any, Depends(Identity)),
    "the alias as a dependency": (Any, Depends(CurrentUser)),
    "the alias as a mark": (Annotated[Identity, CurrentUser], NOTHING),
    "the alias as a default": (Any, CurrentUser),
    "the dependency as a default": (Any, current_user),
    "the dependency as a type": (current_user, NOTHING),
    "the demand as a type": (requires("admin"), NOTHING),
    "a role or nobody": (Admin | None, None),
    "somebody or a text": (CurrentUser | str, NOTHING),
    "a list of users": (list[CurrentUser], NOTHING),
    "in the query": (Annotated[Identity, Query()], NOTHING),
    "in the query, or None": (Annotated[CurrentUser | None, Query()], None),
    "in the body": (Annotated[Identity, Body(embed=True)], NOTHING),
    "in a header": (Annotated[Identity, Header()], NOTHING),
    "as a query's default": (Identity, Query()),
    "in a model": (Form, NOTHING),
    "in a typed dictionary": (Typed, NOTHING),
    "deep in models": (dict[str, Struct], NOTHING),
    "scopes of Security": (Annotated[Identity, Security(current_user, scopes=["admin"])], NOTHING),
    "another Depends after it": (Annotated[Admin, Depends(lambda: None)], NOTHING),
    "a name for type checkers": ("CurrentUser_", NOTHING),
    "under another name": (TypeAliasType("Me", Identity), NOTHING),
    "a login, as a dependency": (Any, Depends(Auth("memory://").login)),
    "a profile, of any identity": (Any, Depends(Auth("memory://").profile)),
    "a factory": (Any, Depends(mount_auth)),
    "another factory": (Any, Depends(auth_app)),
    "delivery": (Any, Depends(deliver)),
    **{
        kind.__name__: (kind, NOTHING)
        for kind in (
            Auth,
            RemoteVerifier,
            Session,
            SubjectFacts,
            Account,
            Arrival,
            Credential,
            Credentials,
            Login,
            Policy,
            Profile,
        )
    },
}


NOT_ALL: dict[str, tuple[Any, Any]] = {
    "or None": (CurrentUser | None, None),
    "or None, without a default": (CurrentUser | None, NOTHING),
    "Optional": (Optional[CurrentUser], None),  # noqa: UP045
    "with a remark": (Annotated[CurrentUser | None, "who is asking"], None),
    "twice": (OptionalUser | None, None),
    "or None, under another name": (TypeAliasType("Me", CurrentUser | None), None),
    "a role and fresh": (Annotated[Admin, fresh(minutes=5)], NOTHING),
    "two roles": (Annotated[Identity, requires("admin"), requires("editor")], NOTHING),
    "a role and then anybody": (Annotated[Admin, Depends(optional_user)], NOTHING),
}
"""What says more than FastAPI asks."""


def endpoint(annotation: Any, default: Any) -> Callable[..., Any]:
    async def asked(user: Any) -> str:
        return user.subject if user else "nobody"

    asked.__annotations__["user"] = annotation
    asked.__defaults__ = None if default is NOTHING else (default,)
    return asked


def as_route(asked: Callable[..., Any]) -> FastAPI:
    app = FastAPI()
    app.post("/")(asked)
    return app


def as_socket(asked: Callable[..., Any]) -> FastAPI:
    app = FastAPI()
    app.websocket("/")(asked)
    return app


def as_dependency(asked: Callable[..., Any]) -> FastAPI:
    app = FastAPI()
    app.get("/", dependencies=[Depends(asked)])(lambda: None)
    return app


def as_included(asked: Callable[..., Any]) -> FastAPI:
    router, app = APIRouter(), FastAPI()
    router.get("/")(lambda: None)
    app.include_router(router, dependencies=[Depends(asked)])
    return app


def as_mounted(asked: Callable[..., Any]) -> FastAPI:
    app = FastAPI()
    app.mount("/in", as_route(asked))
    return app


def in_starlette(asked: Callable[..., Any]) -> Starlette:
    return Starlette(routes=[Mount("/in", Wrapping(as_included(asked)))])


class Wrapping:
    def __init__(self, app: Any) -> None:
        self.app = app


PLACES = [as_route, as_socket, as_dependency, as_included, as_mounted, in_starlette]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("annotation", "default"), (REFUSED | NOT_ALL).values(), ids=(REFUSED | NOT_ALL).keys())
async def test_refused_at_start(annotation: Any, default: Any, place: Callable[..., Any]) -> None:
    """FastAPI makes none of it of a request: it refuses the route itself, or the application does not start and is told
    what to write."""
    auth = Auth("memory://")
    with pytest.raises((ConfigurationError, *BY_ITSELF)) as refused:
        await started(auth, lambda: place(endpoint(annotation, default)))
    if isinstance(refused.value, ConfigurationError):
        assert re.search(r"rite|takes|call it with|dependencies=\[", str(refused.value))
    assert not auth.is_running


async def started(auth: Auth, make: Callable[[], Any]) -> None:
    async with auth.lifespan(make()):
        raise LookupError("it started")


def test_what_fastapi_takes_by_itself() -> None:
    """Most of it would be taken for a part of a request, were it not for us."""
    taken = 0
    for annotation, default in REFUSED.values():
        with suppress(*BY_ITSELF):
            as_route(endpoint(annotation, default))
            taken += 1
    assert taken > len(REFUSED) / 2


@pytest.mark.parametrize("wrong", [current_user, CurrentUser, requires, fresh, Depends(fresh), Depends(requires("a"))])
async def test_refused_in_a_list(wrong: Any) -> None:
    """What is among the dependencies of a route and would ask nobody is refused."""

    def make() -> FastAPI:
        app = FastAPI()
        app.get("/", dependencies=[wrong])(lambda: None)
        return app

    with pytest.raises((ConfigurationError, *BY_ITSELF)):
        await started(Auth("memory://"), make)


OPEN: dict[str, tuple[Any, Any]] = {
    "as it is": (OptionalUser, NOTHING),
    "by its dependency": (Identity | None, Depends(optional_user)),
}


@pytest.mark.parametrize(("annotation", "default"), OPEN.values(), ids=OPEN.keys())
async def test_optional(annotation: Any, default: Any) -> None:
    """It is None for nobody, whatever the request says, and somebody for somebody."""
    auth = Auth(**Setting(clock=TravelClock()).arguments())
    app = FastAPI(lifespan=auth.lifespan)
    app.post("/")(endpoint(annotation, default))
    forged = b'{"subject": "ann", "session_id": "s", "roles": ["admin"], "claims": {}, "auth_time": 9e9, "amr": [],'
    forged += b' "mode": "session"}'
    async with served(app, auth) as web:
        account = await auth.accounts.register("ann@example.com", "nine brown owls")
        headers = sent(await auth.login(account.id, mode=Mode.JWT))
        assert (await web.request("POST", "/", headers=headers)).json() == account.id
        for body in (b"", forged, b'{"user": ' + forged + b"}"):
            content = (("Content-Type", "application/json"),)
            answer = await web.request("POST", "/?user=ann&subject=ann", headers=content, body=body)
            assert (answer.status, answer.json()) == (200, "nobody")


async def test_all_that_is_said() -> None:
    """Where the last demand of an Annotated covers the others, it is asked; others stand among the dependencies."""
    auth = Auth(**Setting(clock=(clock := TravelClock())).arguments())
    app = FastAPI(lifespan=auth.lifespan)
    app.get("/both", dependencies=[fresh(minutes=5)])(endpoint(Admin, NOTHING))
    app.get("/roles")(endpoint(Annotated[Identity, requires("admin"), requires("admin", "editor")], NOTHING))
    app.get("/open")(endpoint(Annotated[OptionalUser, requires("admin")], NOTHING))
    async with served(app, auth) as web:
        account = await auth.accounts.register("ann@example.com", "nine brown owls")
        seen = {}
        for roles in ((), ("editor",), ("admin",), ("admin", "editor")):
            await auth.accounts.set_roles(account.id, roles)
            headers = sent(await auth.login(account.id, mode=Mode.JWT))
            seen[roles] = [
                (await web.request("GET", at, headers=headers)).status for at in ("/both", "/roles", "/open")
            ]
        assert seen == {
            (): [403, 403, 403],
            ("editor",): [403, 403, 403],
            ("admin",): [200, 403, 200],
            ("admin", "editor"): [200, 200, 200],
        }
        clock.advance(301)
        assert (await web.request("GET", "/both", headers=headers)).json() == {"detail": "login_too_old"}


def test_what_is_right_stays() -> None:
    """Parameters that are dependencies, and those that have nothing to do with us, are left alone."""
    app = FastAPI()

    @app.post("/{mode}", dependencies=[Depends(current_user), requires("a"), fresh(minutes=1)])
    def route(mode: Mode, auth: Annotated[Auth, Depends(auth_of)], user: Identity = Depends(current_user)) -> Identity:  # noqa: B008
        return user

    @app.websocket("/")
    async def socket(websocket: WebSocket, user: CurrentUser, maybe: OptionalUser, admin: Admin) -> None: ...

    attach(app)
    assert "/{mode}" in app.openapi()["paths"]


@dataclass
class Checker:
    """A dependency of the application's that has no hash."""

    limit: int

    def __call__(self, count: int = 0) -> bool:
        return count < self.limit


@dataclass
class Asked:
    user: OptionalUser = None
    count: int = 0


async def profile_of(user: CurrentUser, auth: Annotated[Auth, Depends(auth_of)]) -> Profile:
    return await auth.profile(user)


class Tree(BaseModel):
    branches: list[Tree] = []


async def test_dependencies_of_the_application() -> None:
    """Objects and classes that are called, models that name themselves, and what is asked for in them, work as ever."""
    auth = Auth(**Setting(clock=TravelClock()).arguments())
    app = FastAPI(lifespan=auth.lifespan)
    app.get("/checked")(endpoint(Any, Depends(Checker(3))))

    @app.get("/profile")
    async def shown(profile: Annotated[Profile, Depends(profile_of)]) -> Profile:
        return profile

    async def asked(asked: Asked, tree: Tree) -> str:
        return f"{asked.user and asked.user.subject} {len(tree.branches)}"

    asked.__annotations__ = {"asked": Annotated[Asked, Depends()], "tree": Tree}
    app.post("/asked")(asked)
    app.openapi()
    async with served(app, auth) as web:
        account = await auth.accounts.register("ann@example.com", "nine brown owls")
        content = (("Content-Type", "application/json"),)
        for headers, who in (((), "None"), (sent(await auth.login(account.id, mode=Mode.JWT)), account.id)):
            body = b'{"branches": [{}]}'
            answer = await web.request("POST", "/asked?user=bob", headers=[*headers, *content], body=body)
            assert answer.json() == f"{who} 1"
        mine = await web.request("GET", "/profile?email=bob@example.com&subject=bob", headers=headers)
        assert mine.json() == {"subject": account.id, "email": "ann@example.com", "name": ""}
        assert (await web.request("GET", "/profile?email=bob@example.com&subject=bob")).status == 401


def test_pydantic_makes_none() -> None:
    """Without our adapter too: an identity is one already, or it is refused."""
    ann = Identity(
        subject="ann", session_id="s", roles=frozenset(), claims={}, auth_time=1.0, amr=("pwd",), mode=Mode.JWT
    )
    for adapter in (TypeAdapter(Identity), TypeAdapter(Identity | None), TypeAdapter(CurrentUser)):
        assert adapter.validate_python(ann) is ann
        forged = TypeAdapter(Identity).dump_json(ann)
        with pytest.raises(ValidationError):
            adapter.validate_json(forged)
        with pytest.raises(ValidationError):
            adapter.validate_python({**adapter.dump_python(ann), "roles": {"admin"}})
    assert Form(user=ann).user is ann
