"""Refusals as Django answers them: ``application/problem+json``, or the login page for whoever reads pages."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final, Self
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse

from ..adapters.problems import CONTENT_TYPE, problem_of
from ..blocking import Auth
from ..errors import CoatcheckError
from ..model import Mode
from .requests import made_for

SERVICE: Final = "coatcheck-service"
"""What the route of the included service is called."""


class _Awaitable:
    """May be awaited too: a class of asynchronous views awaits what its decorated ``dispatch`` returns."""

    def __await__(self) -> Generator[Any, Any, Self]:
        yield from ()
        return self


class Refused(_Awaitable, HttpResponse):
    """A problem."""


class SentElsewhere(_Awaitable, HttpResponseRedirect):
    """To the login page."""


def refused(request: HttpRequest, error: CoatcheckError) -> Refused:
    """The answer to a request that is refused. No cache keeps it."""
    problem = problem_of(error)
    body = b"" if request.method == "HEAD" else problem.body()
    headers = {"Cache-Control": "no-store", **dict(problem.headers)}
    return Refused(body, status=problem.status, content_type=CONTENT_TYPE, headers=headers)


def renew_page(request: HttpRequest) -> str | None:
    """Where the included service lets a person prove again who they are: its page for the password, or the one to log
    in where somebody else checks that. None where it is not included, or has no pages."""
    pages = _pages(request)
    if pages is None:
        return None
    auth, service = pages
    return f"{service}{'reauthenticate' if auth.has_logins else 'login'}"


def login_page(request: HttpRequest) -> str:
    """``LOGIN_URL``; where the project does not set it, the included service's own page, if it has any."""
    pages = None if settings.is_overridden("LOGIN_URL") else _pages(request)
    return str(settings.LOGIN_URL) if pages is None else f"{pages[1]}login"


def _pages(request: HttpRequest) -> tuple[Auth, str] | None:
    """Where the included service has its pages; None where it has none."""
    made = made_for(request)
    auth = made.knower
    if not isinstance(auth, Auth) or not auth.can_authenticate or Mode.SESSION not in auth.policy.modes:
        return None
    try:
        service = reverse(SERVICE)
    except NoReverseMatch:
        return None
    return (auth, service) if made.service.get("pages", True) else None


def sent_to_login(request: HttpRequest, login_url: str | None, back: str) -> SentElsewhere:
    """To the login page, with the path to come back to, of this site, as ``next``; without where it is not known."""
    target = resolve_url(login_url or login_page(request))
    if back:
        target += f"{'&' if '?' in target else '?'}{urlencode({'next': back})}"
    return SentElsewhere(target, headers={"Cache-Control": "no-store"})
