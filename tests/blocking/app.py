"""A small WSGI application, for real servers. `/in` logs somebody in, `/out?session` ends a session,
and everything else says who asks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from coatcheck import ApplicationSubjects, CoatcheckError, Mode, Policy
from coatcheck.adapters.problems import problem_of
from coatcheck.adapters.wsgi import identify, scope_of
from coatcheck.blocking import Auth

auth = Auth(
    os.environ["STORE"], secret=os.environ["SECRET"], subjects=ApplicationSubjects(), policy=Policy(max_staleness=1.0)
)
if os.environ.get("STARTED"):
    auth.start()


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    status = "200 OK"
    body: dict[str, Any] = {"pid": os.getpid()}
    try:
        if environ["PATH_INFO"] == "/in":
            made = auth.login("ann", mode=Mode.JWT)
            body |= {"token": made.access_token, "session": made.session.id}
        elif environ["PATH_INFO"] == "/out":
            body["ended"] = auth.revoke(environ["QUERY_STRING"], wait=True)
        else:
            identity = identify(auth, scope_of(environ))
            body["subject"] = identity.subject if identity else None
    except CoatcheckError as error:
        problem = problem_of(error)
        status, body["code"] = f"{problem.status} no", problem.code
    answer = json.dumps(body).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]
