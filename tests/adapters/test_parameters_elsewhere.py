"""Nothing that says who somebody is is ever made of a request, in frameworks other than FastAPI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from litestar import Litestar, get, post, websocket_listener
from litestar.di import Provide
from litestar.dto import DataclassDTO, DTOData

from coatcheck import (
    Auth,
    Identity,
    Session,
    django,
    flask,
    litestar,
    starlette,
)
from coatcheck.adapters import demands
from coatcheck.errors import ConfigurationError


@dataclass
class Inner:
    sessions: list[Session]


class Struct(msgspec.Struct):
    inner: Inner


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
