"""The service within a Starlette application: ``mount_auth(app, "sqlite:///app.db")``.

Names that an application needs besides are here too, so that a small one imports one module. An application that only
verifies imports `coatcheck.adapters.starlette`, which loads nothing of the service.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware

from ..adapters.starlette import (
    AuthMiddleware,
    Refusal,
    User,
    current_user,
    fresh,
    lifespans,
    logged_in,
    on_error,
    optional_user,
    requires,
)
from ..auth import Auth
from .app import auth_app, refuse_second
from .delivery import deliver
from .visits import page_for

__all__ = [
    "Auth",
    "AuthMiddleware",
    "Refusal",
    "User",
    "auth_app",
    "current_user",
    "deliver",
    "fresh",
    "lifespans",
    "logged_in",
    "mount_auth",
    "on_error",
    "optional_user",
    "page_for",
    "requires",
]  # fmt: skip


def mount_auth(
    app: Starlette,
    auth: Auth | str = "sqlite:///coatcheck.db",
    *,
    prefix: str = "/auth",
    service_keys: Sequence[str] = (),
    pages: bool = True,
    exclude: Sequence[str] = (),
) -> Auth:
    """Everything at once: the API and the pages under ``prefix``, the `AuthMiddleware` inside of all others, and
    ``auth`` runs while the application does, from before its own lifespan begins until after that has ended.

    Everybody can register; an internal tool says ``Auth(url, policy=Policy(registration="closed"))``.
    ``exclude``: paths whose bearer tokens are somebody else's, as `AuthMiddleware` has it.
    ``auth`` may also be the database's URL, as `coatcheck.Auth` takes it. Returns the `Auth`. ``app`` is the outermost
    application: nobody runs the lifespan of one that is mounted. Raises `ConfigurationError`, also for a second
    `Auth` in one application, and `RuntimeError` for an application that runs already."""
    if app.middleware_stack is not None:
        raise RuntimeError("mount_auth comes before the application starts")
    refuse_second(app.routes)
    if isinstance(auth, str):
        auth = Auth(auth)
    app.mount(prefix, auth_app(auth, service_keys=service_keys, pages=pages))
    # Innermost, so that what CORS and others add to answers is on refusals too.
    app.user_middleware.append(Middleware(AuthMiddleware, auth=auth, service=prefix, exclude=exclude))
    app.router.lifespan_context = lifespans(auth.lifespan, app.router.lifespan_context)
    return auth
