"""Django: ``request.user`` and ``request.identity``, for synchronous and asynchronous views alike.

Two lines in the settings: ``"coatcheck.adapters.django"`` among ``INSTALLED_APPS``, and
``"coatcheck.adapters.django.AuthMiddleware"`` in ``MIDDLEWARE``, after Django's own session and authentication
middleware where those are. What else may be said is in ``COATCHECK``, see `coatcheck.adapters.django.conf`.

``from coatcheck.adapters.django import auth`` is this process's `coatcheck.blocking.Auth`. It is made of the settings
at first use, and starts itself when it is first asked for something that is not in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .changes import cut_off, user_changed
from .conf import knower
from .demands import LoginRequiredMixin, exempt, fresh, login_required, requires
from .middleware import AuthMiddleware
from .requests import LoggedInRequest, Request, current_user, optional_user
from .users import DjangoUsers, facts_of

if TYPE_CHECKING:
    from ...blocking import Auth

    auth: Auth

__all__ = [
    "AuthMiddleware",
    "DjangoUsers",
    "LoggedInRequest",
    "LoginRequiredMixin",
    "Request",
    "auth",
    "current_user",
    "cut_off",
    "exempt",
    "facts_of",
    "fresh",
    "knower",
    "login_required",
    "optional_user",
    "requires",
    "user_changed",
]


def __getattr__(name: str) -> Any:
    """``auth``, made when it is asked for: the settings may not be read while they are being written."""
    if name == "auth":
        from .conf import auth

        return auth()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
