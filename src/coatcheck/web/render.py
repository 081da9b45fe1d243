"""HTML: the templates, the static files, and the headers that every page carries."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined, Template
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ..errors import ConfigurationError
from ..site import Site
from . import colours

SCRIPT: Final = (files("coatcheck.web") / "static" / "show.js").read_text("utf-8").strip()
"""The one script: it shows what is typed into a field for a password. Pages do without it."""
_HASH: Final = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()

CSP: Final = (
    f"default-src 'none'; script-src 'sha256-{_HASH}'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
"""No script but ours, by its hash (CSP Level 2 §7.17), nothing from elsewhere, and no page of ours in a frame."""

_PICTURES: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""Of the static files. A logo may be an SVG with styles in it; whoever opens it alone runs nothing of it."""

HEADERS: Final = {
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not no-referrer: under it browsers send `Origin: null` with forms, and our own would look foreign.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Vary": "Cookie",
}


@cache
def templates(packages: frozenset[tuple[str, str]]) -> Environment:
    """The templates of a service. ``packages``: a feature's name and its package, whose folder ``templates`` has those
    that are called ``name/…``; another service of this process may have another feature of the name. Raises
    `ConfigurationError` where there is no such folder."""
    own = PrefixLoader({name: _loader(name, package) for name, package in packages})
    return Environment(
        loader=ChoiceLoader([PackageLoader("coatcheck.web"), own]), autoescape=True, undefined=StrictUndefined,
        auto_reload=False, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _loader(name: str, package: str) -> BaseLoader:
    try:
        return PackageLoader(package)
    except (ValueError, ModuleNotFoundError) as error:
        raise ConfigurationError(f"the feature {name} has no folder templates in {package}") from error


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file. ``version`` goes into its URL, so that it may be cached for good."""

    content: bytes
    media_type: str
    version: str


def _asset(content: bytes, media_type: str) -> Asset:
    return Asset(content, media_type, hashlib.sha256(content).hexdigest()[:12])


def _file(name: str, media_type: str) -> Asset:
    return _asset((files("coatcheck.web") / "static" / name).read_bytes(), media_type)


ICON: Final = "icon.svg"
STYLESHEET: Final = "coatcheck.css"
COLOURS: Final = "colours.css"
_OURS: Final = {STYLESHEET: _file(STYLESHEET, "text/css"), ICON: _file(ICON, "image/svg+xml")}

Assets = Mapping[str, Asset]


def assets(site: Site) -> Assets:
    """The static files of a service, by their names."""
    found = dict(_OURS)
    if site.color:
        found[COLOURS] = _asset(colours.stylesheet(site.color).encode(), "text/css")
    if site.picture is not None:
        found[f"logo.{site.picture.suffix}"] = _asset(site.picture.content, site.picture.media_type)
    return found


async def static(request: Request) -> Response:
    """One of the static files, or 404."""
    found: Assets = request.app.state.assets
    asset = found.get(request.path_params["name"])
    headers = {"Content-Security-Policy": _PICTURES, "X-Content-Type-Options": HEADERS["X-Content-Type-Options"]}
    if asset is None:
        return Response(status_code=404, headers=headers | {"Cache-Control": "no-store"})
    if request.query_params.get("v") == asset.version:
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return Response(asset.content, media_type=asset.media_type, headers=headers)


def asset_url(found: Assets, root: str, name: str) -> str:
    """Where a static file is, below the service's root; empty where there is none of the name."""
    return f"{root}/static/{name}?v={found[name].version}" if name in found else ""


def logo_url(found: Assets, site: Site, root: str) -> str:
    """Where the application's logo is. Ours stands in for it where the application has said neither that nor its
    name."""
    if site.picture is not None:
        return asset_url(found, root, f"logo.{site.picture.suffix}")
    return "" if site.name else asset_url(found, root, ICON)


def csp(site: Site) -> str:
    """The policy of a service's pages. What a form leads on to counts as its target in some browsers, so an application
    on another origin is one."""
    parts = urlsplit(site.home)
    return f"{CSP} {parts.scheme}://{parts.netloc}" if parts.netloc else CSP


def html(found: Template, context: dict[str, object], site: Site, *, status: int = 200) -> Response:
    """A page."""
    text = found.render(context)
    return HTMLResponse(text, status, {**HEADERS, "Content-Security-Policy": csp(site)})


def redirect(url: str) -> Response:
    """303: go there with GET. ``url`` must be one of ours, or have passed `safe_next`."""
    return RedirectResponse(url, 303, HEADERS)
