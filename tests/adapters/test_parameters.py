"""Nothing that says who somebody is is ever made of a request: what people write instead of the right thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Optional, TypedDict

import msgspec
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Header, Query, Security, WebSocket
from litestar import Litestar, get, post, websocket_listener
from litestar.di import Provide
from litestar.dto import DataclassDTO, DTOData
from pydantic import BaseModel, TypeAdapter, ValidationError
from typing_extensions import TypeAliasType

from coatcheck import (
    Auth,
    Credential,
    Credentials,
    Identity,
    Login,
    Mode,
    Policy,
    RemoteVerifier,
    Session,
    SubjectFacts,
    django,
    flask,
    litestar,
    starlette,
)
from coatcheck.adapters import demands
from coatcheck.credentials.arrival import Arrival
from coatcheck.errors import ConfigurationError
from coatcheck.fastapi import (
    CurrentUser,
    OptionalUser,
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
        )
    },
}


def endpoint(annotation: Any, default: Any) -> Callable[..., Any]:
    async def asked(user: Any) -> str:
        return user.subject if user else "nobody"

    asked.__annotations__["user"] = annotation
    asked.__defaults__ = None if default is NOTHING else (default,)
    return asked


def as_route(asked: Callable[..., Any]) -> None:
    FastAPI().post("/")(asked)


def as_socket(asked: Callable[..., Any]) -> None:
    FastAPI().websocket("/")(asked)


def as_dependency(asked: Callable[..., Any]) -> None:
    FastAPI().get("/", dependencies=[Depends(asked)])(lambda: None)


def as_included(asked: Callable[..., Any]) -> None:
    router, app = APIRouter(), FastAPI()
    router.get("/")(lambda: None)
    app.include_router(router, dependencies=[Depends(asked)])
    app.openapi()


@pytest.mark.parametrize("place", [as_route, as_socket, as_dependency, as_included])
@pytest.mark.parametrize(("annotation", "default"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_when_the_route_is_made(annotation: Any, default: Any, place: Callable[..., None]) -> None:
    """FastAPI makes none of it of a request: the route is refused, with what to write."""
    with pytest.raises(ConfigurationError, match=r"rite|takes|call it with"):
        place(endpoint(annotation, default))


@pytest.mark.parametrize("wrong", [current_user, CurrentUser, requires, fresh, Depends(fresh), Depends(requires("a"))])
def test_refused_in_a_list(wrong: Any) -> None:
    """What is among the dependencies of a route and would ask nobody is refused."""
    with pytest.raises(ConfigurationError):
        FastAPI().get("/", dependencies=[wrong])(lambda: None)


OPEN: dict[str, tuple[Any, Any]] = {
    "or None": (CurrentUser | None, None),
    "or None, without a default": (CurrentUser | None, NOTHING),
    "Optional": (Optional[CurrentUser], None),  # noqa: UP045
    "with a remark": (Annotated[CurrentUser | None, "who is asking"], None),
    "twice": (OptionalUser | None, None),
    "under another name": (TypeAliasType("Me", CurrentUser | None), None),
    "as it is": (OptionalUser, NOTHING),
    "by its dependency": (Identity | None, Depends(optional_user)),
}


@pytest.mark.parametrize(("annotation", "default"), OPEN.values(), ids=OPEN.keys())
async def test_or_none(annotation: Any, default: Any) -> None:
    """`CurrentUser | None` is None for nobody, whatever the request says, and somebody for somebody."""
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
    """Several demands in one Annotated must all be met."""
    auth = Auth(**Setting(clock=(clock := TravelClock())).arguments())
    app = FastAPI(lifespan=auth.lifespan)
    app.get("/both")(endpoint(Annotated[Admin, fresh(minutes=5)], NOTHING))
    app.get("/roles")(endpoint(Annotated[Identity, requires("admin"), requires("editor")], NOTHING))
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

    assert "/{mode}" in app.openapi()["paths"]


@get("/", sync_to_thread=False)
def nobody() -> None: ...


def handler_of(annotation: Any, name: str, **options: Any) -> Any:
    namespace: dict[str, Any] = {"annotation": annotation}
    exec(f"async def asked({name}: annotation) -> None: ...", namespace)
    asked = namespace["asked"]
    asked.__module__, asked.__annotations__ = __name__, {name: annotation, "return": None}
    return post("/asked", **options)(asked)


async def name_of(user: Identity) -> str:
    return user.subject


def provided(call: Any) -> Any:
    return handler_of(Identity, "me", dependencies={"me": Provide(call, sync_to_thread=False)})


LITESTAR: dict[str, Callable[[], Any]] = {
    "in the query": lambda: handler_of(Identity, "user"),
    "in the body": lambda: handler_of(Identity, "data"),
    "in the body, or None": lambda: handler_of(Identity | None, "data"),
    "in a list": lambda: handler_of(list[Identity], "data"),
    "in a struct": lambda: handler_of(Struct, "data"),
    "in a DTO": lambda: handler_of(DTOData[Identity], "data", dto=DataclassDTO[Identity]),
    "a session": lambda: handler_of(Session, "data"),
    "a parameter of another": lambda: handler_of(str, "mine", dependencies={"mine": Provide(name_of)}),
    "somebody or None": lambda: handler_of(litestar.CurrentUser | None, "current_user"),
    "an identity or None": lambda: handler_of(Identity | None, "current_user"),
    "a guard without its call": lambda: handler_of(int, "a", guards=[litestar.requires]),
    "fresh without its call": lambda: handler_of(int, "a", guards=[litestar.fresh]),
    "a dependency as a guard": lambda: handler_of(int, "a", guards=[litestar.current_user]),
    "a class as a guard": lambda: handler_of(int, "a", guards=[litestar.DemandGuard]),
    "a demand of another adapter as a guard": lambda: handler_of(int, "a", guards=[demands.requires("admin")]),
    "an identity that is provided": lambda: provided(Identity),
    "a guard that is provided": lambda: provided(litestar.requires("admin")),
    "a factory that is provided": lambda: provided(litestar.fresh),
    "another factory": lambda: provided(litestar.requires),
    "a login": lambda: provided(Auth("memory://").login),
    "a socket": lambda: websocket_listener("/asked")(handler_of(Identity, "data").fn),
}


@pytest.mark.filterwarnings("ignore")  # Litestar itself warns of some
@pytest.mark.parametrize("make", LITESTAR.values(), ids=LITESTAR.keys())
def test_litestar_refuses_at_start(make: Callable[[], Any]) -> None:
    """What Litestar would make of a request, and what would ask nobody, is refused when the application is made."""
    handler = make()
    with pytest.raises(ConfigurationError, match=r"Write|takes"):
        Litestar([nobody, handler], plugins=[litestar.CoatcheckPlugin(Auth("memory://"))])


@pytest.mark.filterwarnings("ignore")  # Litestar itself warns of some
def test_litestar_serves_what_is_right() -> None:
    """Handlers, dependencies and guards as they are meant are left alone."""
    right = handler_of(litestar.CurrentUser, "current_user", guards=[litestar.logged_in, litestar.requires("a")])
    also = provided(litestar.current_user)
    also.paths = {"/also"}
    Litestar([nobody, right, also], plugins=[litestar.CoatcheckPlugin(Auth("memory://"))])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda view: flask.requires(view),
        lambda view: flask.fresh(view),
        lambda view: flask.requires()(view),
        lambda view: flask.requires(["admin"])(view),
        lambda view: flask.fresh(minutes=0)(view),
        lambda view: flask.login_required("admin")(view),
        lambda view: django.requires(view),
        lambda view: django.fresh(view),
        lambda view: django.requires()(view),
        lambda view: django.requires(["admin"])(view),
        lambda view: django.login_required("/login")(view),
        lambda view: starlette.requires(view),
        lambda view: starlette.fresh(view),
        lambda view: starlette.logged_in()(view),
        lambda view: starlette.requires(["admin"])(view),
        lambda view: starlette.logged_in("admin")(view),
    ],
)
def test_decorators_refuse_at_once(wrong: Any) -> None:
    """A decorator of Flask, Django or Starlette that was not given what it needs is no decorator."""

    def view(request: Any) -> str:
        return "secret"

    with pytest.raises((TypeError, ValueError)):
        wrong(view)


@dataclass
class Checker:
    """A dependency of the application's that has no hash."""

    limit: int

    def __call__(self, count: int = 0) -> bool:
        return count < self.limit


@dataclass
class Asked:
    user: CurrentUser | None = None
    count: int = 0


class Tree(BaseModel):
    branches: list[Tree] = []


async def test_dependencies_of_the_application() -> None:
    """Objects and classes that are called, models that name themselves, and what is asked for in them, work as ever."""
    auth = Auth(**Setting(clock=TravelClock()).arguments())
    app = FastAPI(lifespan=auth.lifespan)
    app.get("/checked")(endpoint(Any, Depends(Checker(3))))

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
