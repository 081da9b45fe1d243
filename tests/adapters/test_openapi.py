"""The application's own OpenAPI document says who gets in."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from openapi_spec_validator import validate

from coatcheck import Auth, Identity
from coatcheck.adapters.openapi import SECURITY_SCHEMES, secure
from coatcheck.fastapi import CurrentUser, OptionalUser, attach, fresh, mount_auth, requires
from coatcheck.web import contract

NEEDED: list[dict[str, list[str]]] = [{"sessionCookie": []}, {"accessCookie": []}, {"bearer": []}]
OPTIONAL = [*NEEDED, {}]
KEY = APIKeyHeader(name="X-Key")


def logged_in(user: CurrentUser) -> str:
    return user.subject


def anybody(user: OptionalUser) -> None: ...


def nothing() -> None: ...


def through_another(name: Annotated[str, Depends(logged_in)]) -> None: ...


def admin(name: str, user: Annotated[Identity, requires("admin")]) -> None: ...


def both(anybody: OptionalUser, user: CurrentUser) -> None: ...


@pytest.fixture
def app() -> FastAPI:
    """One route of every kind."""
    app = FastAPI()
    app.get("/public")(nothing)
    app.get("/current")(logged_in)
    app.get("/through")(through_another)
    app.get("/optional")(anybody)
    app.get("/both")(both)
    app.get("/admin/{name}")(admin)
    app.post("/role", dependencies=[requires("admin")])(nothing)
    app.post("/fresh", dependencies=[fresh(minutes=5)])(nothing)
    app.get("/hidden", include_in_schema=False)(logged_in)
    app.put("/many")(logged_in)
    app.delete("/many")(logged_in)
    router = APIRouter(prefix="/router", dependencies=[requires("editor")])
    router.get("/a")(nothing)
    nested = APIRouter(prefix="/nested")
    nested.get("/b")(anybody)
    router.include_router(nested)
    app.include_router(router, prefix="/v1")
    around = APIRouter()
    around.get("/around")(nothing)
    app.include_router(around, dependencies=[fresh(minutes=1)])
    app.websocket("/live")(logged_in)
    attach(app)
    return app


def security_of(document: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{method} {path}": operation.get("security")
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_kind(app: FastAPI) -> None:
    """Whatever asks for somebody, wherever it stands, names the three schemes as alternatives; what serves everybody
    has "or nothing" among them; what asks nobody has none."""
    assert security_of(app.openapi()) == {
        "get /public": None,
        "get /current": NEEDED,
        "get /through": NEEDED,
        "get /optional": OPTIONAL,
        "get /both": NEEDED,
        "get /admin/{name}": NEEDED,
        "post /role": NEEDED,
        "post /fresh": NEEDED,
        "put /many": NEEDED,
        "delete /many": NEEDED,
        "get /v1/router/a": NEEDED,
        "get /v1/router/nested/b": NEEDED,
        "get /around": NEEDED,
    }


def test_the_document_is_valid(app: FastAPI) -> None:
    """It has the schemes as the service's own document has them, and is valid, however often it is asked for."""
    first = app.openapi()
    assert first["components"]["securitySchemes"] == SECURITY_SCHEMES
    assert {name: contract.SECURITY_SCHEMES[name] for name in SECURITY_SCHEMES} == SECURITY_SCHEMES
    assert [{name: []} for name in SECURITY_SCHEMES] == contract.COOKIE_OR_BEARER
    validate(first)
    before = str(first)
    assert str(app.openapi()) == before
    app.get("/later")(logged_in)
    assert security_of(app.openapi())["get /later"] == NEEDED


def test_the_document_costs_requests_nothing(app: FastAPI) -> None:
    """A dependency of ours is one call and brings no further ones along, which FastAPI would solve on each request."""
    app.openapi()
    for route in app.routes:
        if isinstance(route, APIRoute) and route.path != "/through":
            assert not [inner for dependant in route.dependant.dependencies for inner in dependant.dependencies]


def test_other_schemes_stay() -> None:
    """An operation may take something else too."""
    app = FastAPI()

    @app.get("/")
    async def home(user: OptionalUser, key: Annotated[str, Depends(KEY)]) -> None: ...

    attach(app)
    assert security_of(app.openapi()) == {"get /": [*NEEDED, {"APIKeyHeader": []}, {}]}
    assert set(app.openapi()["components"]["securitySchemes"]) == {*SECURITY_SCHEMES, "APIKeyHeader"}


def test_documents_without_us() -> None:
    """An application that has none of our dependencies has the document that FastAPI makes."""
    app = FastAPI()
    app.get("/")(nothing)
    app.get("/key", dependencies=[Depends(KEY)])(nothing)
    attach(app)
    assert app.openapi() == get_openapi(title=app.title, version=app.version, routes=app.routes)


def test_mounted_applications() -> None:
    """Each has its own document; the service's is as before."""
    app, inner = FastAPI(), FastAPI()
    inner.get("/mine")(logged_in)
    app.mount("/site", inner)
    auth = mount_auth(app, Auth("memory://"))
    assert app.openapi()["paths"] == {}
    assert security_of(inner.openapi()) == {"get /mine": NEEDED}
    (service,) = [route.app for route in app.routes if getattr(route, "path", "") == "/auth"]  # type: ignore[attr-defined]
    assert not auth.is_running
    assert set(service.openapi()["components"]["securitySchemes"]) == set(contract.SECURITY_SCHEMES) - {
        "attemptCookie"
    }  # without steps


def test_a_document_of_its_own() -> None:
    """What an application says for itself is kept, and ours added, once."""
    app = FastAPI()
    app.get("/")(logged_in)
    own = get_openapi(title="Mine", version="7", routes=app.routes)
    app.openapi = lambda: own  # type: ignore[method-assign]
    for _ in range(2):
        attach(app)
    assert app.openapi()["info"]["title"] == "Mine"
    assert security_of(app.openapi()) == {"get /": NEEDED}


def test_other_applications() -> None:
    """An application that was not given to us has the document that FastAPI makes."""
    app = FastAPI()
    app.get("/")(logged_in)
    assert app.openapi() == get_openapi(title=app.title, version=app.version, routes=app.routes)


def test_what_is_not_shown() -> None:
    """An operation that the document does not have adds nothing to it."""
    document: dict[str, Any] = {"paths": {}}
    secure(document, "/hidden", "GET", optional=False)
    assert document == {"paths": {}}
