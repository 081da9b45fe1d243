"""How an application's own OpenAPI document says who gets in. Pure: documents are dictionaries."""

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


def secure(document: dict[str, Any], path: str, method: str, *, optional: bool) -> None:
    """Say, in place, that an operation takes any one of the schemes, or, where ``optional``, none of them.

    Other schemes that it takes stay among the alternatives. Nothing happens a second time, or when the document does
    not show the operation."""
    operation = document["paths"].get(path, {}).get(method.lower())
    if operation is None:
        return
    ours: list[dict[str, list[str]]] = [{name: []} for name in SECURITY_SCHEMES]
    others = [entry for entry in operation.get("security", ()) if entry and entry not in ours]
    operation["security"] = [*ours, *others, *([{}] if optional else [])]
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes.update({name: dict(scheme) for name, scheme in SECURITY_SCHEMES.items()})
