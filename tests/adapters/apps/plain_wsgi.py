"""A WSGI application without a framework, which says who is asking; for real servers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from coatcheck import Mode, SubjectFacts
from coatcheck.adapters.problems import problem_of
from coatcheck.adapters.wsgi import Environ, identify_leniently, scope_of
from coatcheck.blocking import Auth
from coatcheck.errors import CoatcheckError

auth = Auth("memory://", subjects=lambda subject: SubjectFacts())


def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """``/login/MODE`` logs somebody in. Everything else says who asks (null for nobody), or why that is refused."""
    try:
        answer = _answer(environ)
    except CoatcheckError as error:
        answer = {"refused": problem_of(error).code}
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _answer(environ: Environ) -> dict[str, str | None]:
    path: str = environ["PATH_INFO"]
    if path.startswith("/login/"):
        made = auth.login("ann", mode=Mode(path.removeprefix("/login/")))
        return {"token": made.session_token or made.access_token, "csrf": made.csrf_token}
    identity = identify_leniently(auth, scope_of(environ))
    return {"subject": identity and identity.subject}
