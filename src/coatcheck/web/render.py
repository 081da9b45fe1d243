"""HTML: the templates, the two static files, and the headers that every page carries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined, Template
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ..errors import ConfigurationError

CSP: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No script at all, nothing inline, nothing from elsewhere, and no page of ours in a frame."""

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


def _asset(name: str, media_type: str) -> Asset:
    content = (files("coatcheck.web") / "static" / name).read_bytes()
    return Asset(content, media_type, hashlib.sha256(content).hexdigest()[:12])


ASSETS: Final = {
    "coatcheck.css": _asset("coatcheck.css", "text/css"),
    "icon.svg": _asset("icon.svg", "image/svg+xml"),
}


async def static(request: Request) -> Response:
    """One of the static files, or 404."""
    asset = ASSETS.get(request.path_params["name"])
    headers = {name: HEADERS[name] for name in ("Content-Security-Policy", "X-Content-Type-Options")}
    if asset is None:
        return Response(status_code=404, headers=headers | {"Cache-Control": "no-store"})
    if request.query_params.get("v") == asset.version:
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return Response(asset.content, media_type=asset.media_type, headers=headers)


def asset_url(root: str, name: str) -> str:
    """Where a static file is, below the service's root."""
    return f"{root}/static/{name}?v={ASSETS[name].version}"


def html(found: Template, context: dict[str, object], *, status: int = 200) -> Response:
    """A page."""
    text = found.render(context)
    return HTMLResponse(text, status, HEADERS)


def redirect(url: str) -> Response:
    """303: go there with GET. ``url`` must be one of ours, or have passed `safe_next`."""
    return RedirectResponse(url, 303, HEADERS)
