"""Django: ``request.user`` and ``request.identity``, for synchronous and asynchronous views alike.

Two lines in the settings: ``"coatcheck.django"`` among ``INSTALLED_APPS``, and
``"coatcheck.django.AuthMiddleware"`` in ``MIDDLEWARE``, after Django's own session and authentication
middleware where those are. What else may be said is in ``COATCHECK``, see `coatcheck.django.conf`.

``from coatcheck.django import auth`` stands for this process's `coatcheck.blocking.Auth`. That is made of the settings
at first use, anew where a test overrides them, and starts itself when it is first asked for something that is not in
memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..errors import (
    AttemptOver,
    CoatcheckError,
    ConfigurationError,
    Conflict,
    InvalidLogin,
    InvalidStep,
    Rejected,
    StepRequired,
    StoreUnavailable,
    Throttled,
)
from ..extras import module_needs
from ..issuer import Credentials
from ..lazily import lazily
from ..model import Device, Identity, Mode, Profile, Session, SubjectFacts
from ..policy import Lifetimes, Policy
from ..site import Site

with module_needs("coatcheck.django", "django"):
    from .changes import cut_off, user_changed
    from .conf import knower
    from .current import Current
    from .demands import LoginRequiredMixin, exempt, fresh, login_required, requires
    from .middleware import AuthMiddleware
    from .requests import LoggedInRequest, Request, current_user, optional_user
    from .users import DjangoUsers, facts_of

if TYPE_CHECKING:
    from ..blocking import Auth, RemoteVerifier
    from ..features.former.trading import Former
    from .urls import deliver, trade_in

auth: Auth = cast(Any, Current())

__all__ = [
    "AttemptOver", "Auth", "AuthMiddleware", "CoatcheckError", "ConfigurationError", "Conflict", "Credentials",
    "Device", "DjangoUsers", "Former", "Identity", "InvalidLogin", "InvalidStep", "Lifetimes", "LoggedInRequest",
    "LoginRequiredMixin", "Mode", "Policy", "Profile", "Rejected", "RemoteVerifier", "Request", "Session", "Site",
    "StepRequired", "StoreUnavailable", "SubjectFacts", "Throttled", "auth", "current_user", "cut_off", "deliver",
    "exempt", "facts_of", "fresh", "knower", "login_required", "optional_user", "requires", "trade_in", "user_changed",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "coatcheck.blocking": ("Auth", "RemoteVerifier"),
        "coatcheck.features.former.trading": ("Former",),
        "coatcheck.django.urls": ("deliver", "trade_in"),
    },
)
