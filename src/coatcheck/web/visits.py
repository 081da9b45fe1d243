"""Where people go who may not see a page: for the frameworks in which a refusal is an exception, to be answered by a
handler of the application's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from ..adapters.asgi import Scope, arrival_of, header
from ..adapters.problems import Problem, problem_of
from ..errors import CoatcheckError

_NOBODY: Final = "not_logged_in"
_TOO_OLD: Final = "login_too_old"


def page_for(
    scope: Mapping[str, Any],
    refusal: Problem | CoatcheckError,
    *,
    login: str = "/auth/login",
    renew: str = "/auth/reauthenticate",
) -> str | None:
    """The address to send a person to who is refused so, with the way back as ``next``; None for a program, for a
    request that is no visit to a page, and for every other refusal.

    ``login`` and ``renew``: the pages for logging in and for proving again who one is, below the root of the outermost
    application. A person's request is a GET that accepts HTML and comes without a bearer token."""
    problem = refusal if isinstance(refusal, Problem) else problem_of(refusal)
    page = {_NOBODY: login, _TOO_OLD: renew}.get(problem.code)
    plain: Scope = dict(scope)
    if page is None or plain["type"] != "http" or plain["method"] not in ("GET", "HEAD"):
        return None
    if arrival_of(plain).by_bearer or b"text/html" not in header(plain, b"accept"):
        return None
    root = plain.get("app_root_path", plain.get("root_path", "")).rstrip("/")  # of a mount Starlette says both
    return f"{quote(root)}{page}?{urlencode({'next': here(plain)})}"


def here(scope: Scope) -> str:
    """The path and query of a request, as they may stand in a Location header."""
    root = scope.get("root_path", "")
    path = scope["path"].removeprefix(root)
    query = scope.get("query_string", b"").decode("latin-1")
    if root.endswith("/"):  # the path may begin with one as well
        root, path = root.rstrip("/"), f"/{path.removeprefix('/')}"
    full = f"{root}{path}"
    return quote(full, safe="/:@!$&'()*+,;=~") + (f"?{quote(query, safe='/:@!$&()*+,;=~?%')}" if query else "")
