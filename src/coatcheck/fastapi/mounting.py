"""The service within a FastAPI application: ``mount_auth(app, "sqlite:///app.db")``."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI

from ..auth import Auth
from ..service.app import auth_app, refuse_second
from .attaching import attach
from .dependencies import lifespans

__all__ = ["mount_auth"]


def mount_auth(
    app: FastAPI,
    auth: Auth | str = "sqlite:///coatcheck.db",
    *,
    prefix: str = "/auth",
    service_keys: Sequence[str] = (),
    pages: bool = True,
) -> Auth:
    """Everything at once: the API and the pages under ``prefix``, and ``auth`` runs while the application does, from
    before its own lifespan begins until after that has ended.

    Everybody can register; an internal tool says ``Auth(url, policy=Policy(registration="closed"))``.
    ``auth`` may also be the database's URL, as `coatcheck.Auth` takes it. Returns the `Auth`. ``app`` is the outermost
    application: nobody runs the lifespan of one that is mounted. Raises `ConfigurationError`, also for a second
    `Auth` in one application: make another application for it."""
    refuse_second(app.routes)
    if isinstance(auth, str):
        auth = Auth(auth)
    app.mount(prefix, auth_app(auth, service_keys=service_keys, pages=pages))
    app.router.lifespan_context = lifespans(auth.lifespan, app.router.lifespan_context)
    attach(app)
    return auth
