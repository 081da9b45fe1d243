"""The service within a Litestar application: ``Litestar([...], plugins=[ServicePlugin(auth)])``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeVar, cast

from litestar import Request, Response
from litestar.background_tasks import BackgroundTask
from litestar.config.app import AppConfig
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler, route
from litestar.response import Redirect
from litestar.types import ASGIApp, Method, Receive, Scope, Send

from ..adapters import asgi
from ..adapters.visits import page_for as page_for
from ..auth import Auth
from ..errors import CoatcheckError
from ..issuer import Credentials
from ..service.app import auth_app, check_prefix, entrance_of
from ..site import NOBODYS, Site
from ..web.delivery import check_destination, cookies
from ..web.refusals import Refusal
from ..web.replaced import afterwards, replaced
from .plugin import EXCLUDED, IS_SERVICE, CoatcheckPlugin, auth_of, on_refusal, response_of

T = TypeVar("T")

_REST: Final = "/{coatcheck_path"
_METHODS: Final[list[Method]] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


def auth_routes(
    auth: Auth,
    path: str = "/auth",
    *,
    service_keys: Sequence[str] = (),
    pages: bool = True,
    site: Site | Mapping[str, Any] = NOBODYS,
) -> HTTPRouteHandler:
    """The API and the pages at ``path``, as a route handler; see `coatcheck.service.auth_app`.

    It is none of Litestar's mounts: those catch ``/authors/{id}`` too. Neither our middleware and guards nor Litestar's
    CSRF check come before it, for the service sees to both by itself: refreshing needs no live access token.
    Raises `ConfigurationError`."""
    check_prefix(path)
    service = auth_app(auth, service_keys=service_keys, pages=pages, site=site)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await service(_below(scope), receive, send)  # type: ignore[arg-type]  # the same messages, as dictionaries

    @route(
        [path, f"{path}{_REST}:path}}"],
        http_method=_METHODS,
        status_code=200,
        include_in_schema=False,
        opt={EXCLUDED: True, "exclude_from_csrf": True, IS_SERVICE: True},
    )
    async def coatcheck_service() -> ASGIApp:
        return answer

    return coatcheck_service


def _below(scope: Scope) -> asgi.Scope:
    """The request as the service sees it. Litestar has taken the root path and a last slash off its path."""
    before = scope["path_template"].partition(_REST)[0].count("/")
    parts = scope["path"].split("/")
    above = scope.get("root_path", "").rstrip("/")
    root = above + "/".join(parts[: before + 1])
    return {**scope, "root_path": root, "app_root_path": above, "path": f"{root}/{'/'.join(parts[before + 1 :])}"}


def deliver(
    response: Response[T], request: Request[Any, Any, Any], credentials: Credentials, *, mount: str = "/auth"
) -> Response[T]:
    """The response with the cookies of these credentials: what an application with users of its own answers to its own
    login. ``mount``: where `auth_routes` is, for the refresh cookie goes to its refresh route only. What the browser
    had ends once the answer is sent.

    Raises `Refusal` where a mode with cookies is asked for and there can be none, over plain http or on another site,
    and `CrossSite` when the login comes from a page of another site."""
    scope = cast("asgi.Scope", request.scope)
    check_destination(scope, credentials, auth_of(request).policy.origins)
    for text in cookies(scope, credentials, mount=mount):
        response.cookies.append(_cookie(text))
    response.headers["Cache-Control"] = "no-store"
    auth = auth_of(request)
    if ending := replaced(auth, asgi.arrival_of(scope), credentials):
        response.background = BackgroundTask(afterwards(response.background, auth, ending))
    return response


def _cookie(text: str) -> Cookie:
    """One of our Set-Cookie values as Litestar has them."""
    pair, *rest = text.split("; ")
    name, _, value = pair.partition("=")
    given = {key.lower(): said for key, _, said in (item.partition("=") for item in rest)}
    return Cookie(
        key=name,
        value=value,
        path=given["path"],
        max_age=int(given["max-age"]) if "max-age" in given else None,
        secure="secure" in given,
        httponly="httponly" in given,
        samesite=cast("Literal['lax', 'strict']", given["samesite"].lower()),
    )


def on_service_refusal(request: Request[Any, Any, Any], error: Refusal) -> Response[bytes]:
    """What `deliver` refuses, as an answer."""
    return response_of(error.problem)


class ServicePlugin(CoatcheckPlugin):
    """`CoatcheckPlugin` together with `auth_routes`. ``auth`` may also be the database's URL, as `coatcheck.Auth` takes
    it. Everybody can register; an internal tool says ``Auth(url, policy=Policy(registration="closed"))``. ``site``: the
    name, logo, colour and address that the pages show. ``send_to_login``: a person who comes to a page and is nobody is
    sent to the login page and back, and no program is; False: everybody gets the refusal. Raises
    `ConfigurationError`."""

    def __init__(
        self,
        auth: Auth | str = "sqlite:///coatcheck.db",
        path: str = "/auth",
        *,
        service_keys: Sequence[str] = (),
        pages: bool = True,
        site: Site | Mapping[str, Any] = NOBODYS,
        send_to_login: bool = True,
    ) -> None:
        made = Auth(auth) if isinstance(auth, str) else auth
        super().__init__(made)
        self.routes = auth_routes(made, path, service_keys=service_keys, pages=pages, site=site)
        self._entrance = entrance_of(made, path) if pages and send_to_login else None

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """See `CoatcheckPlugin.on_app_init`."""
        app_config.route_handlers = [*app_config.route_handlers, self.routes]
        ours: dict[int | type[Exception], Any] = {Refusal: on_service_refusal, CoatcheckError: self._on_refusal}
        app_config.exception_handlers = {**ours, **app_config.exception_handlers}
        return super().on_app_init(app_config)

    def _on_refusal(self, request: Request[Any, Any, Any], error: CoatcheckError) -> Response[Any]:
        """A person goes to the login page and back; anybody else gets the problem."""
        found = self._entrance
        scope = {name: value for name, value in request.scope.items() if name != "app_root_path"}
        # Without the root of what may be around it: the service is below this application's.
        page = None if found is None else page_for(scope, error, login=found.login, renew=found.renew)
        if page is None:
            return on_refusal(request, error)
        return Redirect(page, status_code=303, headers={"Cache-Control": "no-store"})
