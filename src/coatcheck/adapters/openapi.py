"""How an application's own OpenAPI document says who gets in. Pure: documents are dictionaries.

OpenAPI has no security scheme that is "one of these". A framework that knows one scheme per dependency names a
stand-in, and `with_alternatives` puts what it stands for in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..credentials.cookies import SECURE

SECURITY_SCHEMES: Final[Mapping[str, Mapping[str, str]]] = {
    "sessionCookie": {"type": "apiKey", "in": "cookie", "name": SECURE.session, "description": "Mode session."},
    "accessCookie": {"type": "apiKey", "in": "cookie", "name": SECURE.access, "description": "Mode jwt-cookie."},
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Mode jwt."},
}
"""What a request may present, by name, as in the service's own document."""

LOGGED_IN: Final = "coatcheck"
"""Stands for: any one of the schemes."""

ANYBODY: Final = "coatcheckOptional"
"""Stands for: any one of the schemes, or nothing at all."""

_STAND_INS: Final = frozenset({LOGGED_IN, ANYBODY})


def with_alternatives(document: dict[str, Any]) -> dict[str, Any]:
    """The document, changed in place: no stand-in is left. One without any stays as it is."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    if _STAND_INS.isdisjoint(schemes):
        return document
    for name in _STAND_INS:
        schemes.pop(name, None)
    schemes.update({name: dict(scheme) for name, scheme in SECURITY_SCHEMES.items()})
    for path in (*document["paths"].values(), *document.get("webhooks", {}).values()):
        for operation in path.values():
            if "security" in operation:
                operation["security"] = _alternatives(operation["security"])
    return document


def _alternatives(security: list[dict[str, list[str]]]) -> list[dict[str, list[str]]]:
    """The list in which one entry is enough. Where somebody is needed, anything that is optional beside it changes
    nothing."""
    named = {name for entry in security for name in entry}
    if named.isdisjoint(_STAND_INS):
        return security
    ours: list[dict[str, list[str]]] = [{name: []} for name in SECURITY_SCHEMES]
    others = [entry for entry in security if _STAND_INS.isdisjoint(entry)]
    return [*ours, *others] if LOGGED_IN in named else [*ours, *others, {}]
