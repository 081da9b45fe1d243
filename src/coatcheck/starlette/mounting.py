"""The service within a Starlette application: ``mount_auth(app, "sqlite:///app.db")``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from starlette.applications import Starlette
from starlette.middleware import Middleware

from ..adapters import asgi
from ..adapters.asgi import SECOND
from ..adapters.visits import entrance_lifespan
from ..auth import Auth
from ..errors import ConfigurationError
from ..service.app import auth_app, check_prefix, entrance_of, refuse_second
from ..site import NOBODYS, Site
from .middleware import AuthMiddleware, lifespans
from .sending import SentToLogin, on_sent_to_login

__all__ = ["mount_auth"]


def mount_auth(
    app: Starlette,
    auth: Auth | str = "sqlite:///coatcheck.db",
    *,
    prefix: str = "/auth",
    service_keys: Sequence[str] = (),
    pages: bool = True,
    exclude: Sequence[str] = (),
    site: Site | Mapping[str, Any] = NOBODYS,
    send_to_login: bool = True,
) -> Auth:
    """Everything at once: the API and the pages under ``prefix``, the `AuthMiddleware`, and ``auth`` runs while the
    application does, from before its own lifespan begins until after that has ended.

    The middleware goes inside of all others, so that what CORS and others add to answers is on refusals too. Where the
    application was made with one of this ``auth``, it stays where it is, for others further in to see who is asking:
    ``Starlette(middleware=[..., Middleware(AuthMiddleware, auth=auth), Middleware(Limits)])``.

    Everybody can register; an internal tool says ``Auth(url, policy=Policy(registration="closed"))``.
    ``exclude``: paths whose bearer tokens are somebody else's, as `AuthMiddleware` has it.
    ``auth`` may also be the database's URL, as `coatcheck.Auth` takes it. ``site``: the name, logo, colour and address
    that the pages show. ``send_to_login``: a person who comes to a page and is nobody is sent to the login page and
    back, and no program is; False: everybody gets the refusal. Returns the `Auth`. ``app`` is the outermost
    application: nobody runs the lifespan of one that is mounted. Raises `ConfigurationError`, also for a second
    `Auth` in one application, and `RuntimeError` for an application that runs already."""
    if app.middleware_stack is not None:
        raise RuntimeError("mount_auth comes before the application starts")
    refuse_second(app.routes)
    check_prefix(prefix)
    if isinstance(auth, str):
        auth = Auth(auth)
    middleware = _with_ours(app.user_middleware, auth, prefix, exclude)
    service = auth_app(auth, service_keys=service_keys, pages=pages, site=site)
    entrance = entrance_lifespan(entrance_of(auth, prefix) if pages and send_to_login else None)
    app.mount(prefix, service)
    app.add_exception_handler(SentToLogin, on_sent_to_login)
    app.user_middleware[:] = middleware
    app.router.lifespan_context = lifespans(auth.lifespan, entrance, app.router.lifespan_context)
    return auth


def _with_ours(given: Sequence[Middleware], auth: Auth, prefix: str, exclude: Sequence[str]) -> list[Middleware]:
    found: list[Middleware] = []
    placed = False
    for each in given:
        kind: Any = each.cls
        if not (isinstance(kind, type) and issubclass(kind, asgi.AuthMiddleware)):
            found.append(each)
            continue
        if each.kwargs.get("auth", each.args[0] if each.args else None) is not auth:
            raise ConfigurationError(SECOND)
        if not issubclass(kind, AuthMiddleware):
            raise ConfigurationError("take AuthMiddleware of coatcheck.starlette, which gives request.user")
        more: Any = dict(each.kwargs)
        more["exclude"] = [*exclude, *more.get("exclude", ())]
        found.append(Middleware(cast(Any, kind), **(more | {"auth": auth, "service": prefix})))
        placed = True
    return found if placed else [*found, Middleware(AuthMiddleware, auth=auth, service=prefix, exclude=exclude)]
