"""Django REST framework: ``"coatcheck.django.rest.CoatcheckAuthentication"`` among
``DEFAULT_AUTHENTICATION_CLASSES``."""

from __future__ import annotations

from typing import Any

from ..extras import module_needs
from ..model import Identity
from .requests import optional_user

with module_needs("coatcheck.django.rest", "rest_framework"):
    from rest_framework.authentication import BaseAuthentication  # type: ignore[import-untyped]
    from rest_framework.exceptions import AuthenticationFailed  # type: ignore[import-untyped]


class CoatcheckAuthentication(BaseAuthentication):  # type: ignore[misc]  # it comes without types
    """``request.user`` is what `AuthMiddleware` says, ``request.auth`` the `Identity`. Nobody is 401, not 403.

    Where a request comes from the middleware has judged, so views need no CSRF token besides."""

    def authenticate(self, request: Any) -> tuple[Any, Identity] | None:
        """None for nobody. Raises `AuthenticationFailed` for a user who is not active any more."""
        inner = request._request
        identity = optional_user(inner)
        if identity is None:
            return None
        user = inner.user
        if not user.is_authenticated:
            raise AuthenticationFailed(code="invalid_credential")
        return user, identity

    def authenticate_header(self, request: Any) -> Any:
        """``WWW-Authenticate`` (RFC 6750 §3)."""
        return "Bearer"
