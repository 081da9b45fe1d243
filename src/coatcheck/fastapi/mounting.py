"""The service within a FastAPI application: ``mount_auth(app, "sqlite:///app.db")``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI

from ..adapters.visits import entrance_lifespan
from ..auth import Auth
from ..service.app import auth_app, check_prefix, entrance_of, refuse_second
from ..site import NOBODYS, Site
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
    site: Site | Mapping[str, Any] = NOBODYS,
    send_to_login: bool = True,
) -> Auth:
    """Everything at once: the API and the pages under ``prefix``, and ``auth`` runs while the application does, from
    before its own lifespan begins until after that has ended.

    Everybody can register; an internal tool says ``Auth(url, policy=Policy(registration="closed"))``.
    ``auth`` may also be the database's URL, as `coatcheck.Auth` takes it. ``site``: the name, logo, colour and address
    that the pages show. ``send_to_login``: a person who comes to a page and is nobody is sent to the login page and
    back, and no program is; False: everybody gets the refusal. Returns the `Auth`. ``app`` is the outermost
    application: nobody runs the lifespan of one that is mounted. Raises `ConfigurationError`, also for a second
    `Auth` in one application: make another application for it."""
    refuse_second(app.routes)
    check_prefix(prefix)
    if isinstance(auth, str):
        auth = Auth(auth)
    service = auth_app(auth, service_keys=service_keys, pages=pages, site=site)
    entrance = entrance_lifespan(entrance_of(auth, prefix) if pages and send_to_login else None)
    app.mount(prefix, service)
    app.router.lifespan_context = lifespans(auth.lifespan, entrance, app.router.lifespan_context)
    attach(app)
    return auth
