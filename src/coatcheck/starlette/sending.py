"""A person on the way to the login page."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from ..adapters.asgi import Scope
from ..adapters.problems import Problem
from ..adapters.visits import way_in


class SentToLogin(HTTPException):
    """Whoever comes to a page and is nobody is sent to log in, whose login is too old to prove again who they are."""

    def __init__(self, page: str) -> None:
        super().__init__(303, "", {"Location": page, "Cache-Control": "no-store"})

    def answer(self) -> Response:
        """What sends them there."""
        return Response(status_code=self.status_code, headers=self.headers)


def sent(scope: Scope, problem: Problem) -> SentToLogin | None:
    """What is raised in the place of a refusal, where a person is sent anywhere."""
    page = way_in(scope, problem)
    return None if page is None else SentToLogin(page)


def on_sent_to_login(connection: HTTPConnection, error: Exception) -> Response:
    """Handler of exceptions that sends them there, whatever the application answers to others."""
    if not isinstance(error, SentToLogin):
        raise error
    return error.answer()
