"""Refusals as Django answers them: ``application/problem+json``, or the login page for whoever reads pages."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Self
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url

from ...errors import CoatcheckError
from ..problems import CONTENT_TYPE, problem_of


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


def sent_to_login(request: HttpRequest, login_url: str | None) -> SentElsewhere:
    """To the login page, with the path to come back to as ``next``; it is of this site, whatever was asked for."""
    target = resolve_url(login_url or settings.LOGIN_URL)
    query = urlencode({"next": request.get_full_path()})
    return SentElsewhere(f"{target}{'&' if '?' in target else '?'}{query}", headers={"Cache-Control": "no-store"})
