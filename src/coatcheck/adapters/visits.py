"""Where people go who may not see a page: the login page, and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from ..errors import CoatcheckError
from .asgi import Scope, arrival_of, header, path_below
from .problems import Problem, problem_of
from .sent_forms import FORMS, LOCAL_URL, accepts_pages, root_of

_NOBODY: Final = ("not_logged_in", "invalid_credential")
"""A cookie that is refused has ended, for the most part: its browser is nobody's."""
_TOO_OLD: Final = "login_too_old"

_ENTRANCE: Final = "coatcheck.entrance"
"""Key of the lifespan's state: the `Entrance` of the application."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """The pages that people are sent to, below the root of the outermost application."""

    login: str = "/auth/login"
    renew: str = "/auth/reauthenticate"


def entrance_lifespan(
    entrance: Entrance | None,
) -> Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]:
    """A lifespan whose state says where people are sent; None for nowhere."""

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[Mapping[str, Any]]:
        yield {_ENTRANCE: entrance}

    return lifespan


def way_in(scope: Scope, problem: Problem) -> str | None:
    """The address to send whoever is refused so to, where the application sends people anywhere."""
    entrance: Entrance | None = scope.get("state", {}).get(_ENTRANCE)
    return None if entrance is None else page_for(scope, problem, login=entrance.login, renew=entrance.renew)


def page_for(
    scope: Mapping[str, Any],
    refusal: Problem | CoatcheckError,
    *,
    login: str = "/auth/login",
    renew: str = "/auth/reauthenticate",
) -> str | None:
    """The address to send a person to who is refused so, with the way back as ``next``; None for a program and for
    every other refusal.

    ``login`` and ``renew``: the pages for logging in and for proving again who one is, below the root of the outermost
    application. A person is who goes to a page in a browser, or sends a form, and accepts HTML; a script that reads
    HTML is none, nor is whoever has a bearer token. Back from there they come to the page, or to that on which the form
    stands."""
    problem = refusal if isinstance(refusal, Problem) else problem_of(refusal)
    page = login if problem.code in _NOBODY else renew if problem.code == _TOO_OLD else None
    plain: Scope = dict(scope)
    if page is None or plain["type"] != "http":
        return None
    arrival = arrival_of(plain)
    accept = b",".join(value for name, value in plain["headers"] if name == b"accept")
    if arrival.by_bearer or not accepts_pages(accept.decode("latin-1")):
        return None
    if plain["method"] in ("GET", "HEAD") and arrival.navigates:
        back = here(plain)
    elif _is_form(plain):
        back = _page_of_form(plain)
    else:
        return None
    root = root_of(plain.get("app_root_path", plain.get("root_path", "")))  # of a mount Starlette says both
    return f"{root}{page}" + (f"?{urlencode({'next': back})}" if LOCAL_URL.fullmatch(back) else "")


def here(scope: Scope) -> str:
    """The path and query of a request, as they may stand in a Location header."""
    query: bytes = scope.get("query_string", b"")
    full = scope.get("root_path", "").rstrip("/") + path_below(scope)
    return quote(full, safe="/:@!$&'()*+,;=~") + (f"?{quote(query, safe='/:@!$&()*+,;=~?%')}" if query else "")


def _is_form(scope: Scope) -> bool:
    """Whether a person sends a form, and no script."""
    kind = header(scope, b"content-type").decode("latin-1").partition(";")[0].strip().lower()
    return kind in FORMS and (header(scope, b"sec-fetch-mode") or b"navigate") == b"navigate"


def _page_of_form(scope: Scope) -> str:
    """The page that the form is on, where the browser says so; the address that it is sent to may be no page."""
    origin = arrival_of(scope).own_origin
    referer = header(scope, b"referer").decode("latin-1")
    return referer.removeprefix(origin) if origin and referer.startswith(f"{origin}/") else ""
