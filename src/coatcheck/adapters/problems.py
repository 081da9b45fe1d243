"""Refusals on the wire: ``application/problem+json`` (RFC 9457) with a stable ``code``.

All refusals of a presented credential read alike; why it was refused is in the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec

from ..errors import (
    AttemptOver,
    CoatcheckError,
    Conflict,
    CrossSite,
    EmailTaken,
    Forbidden,
    InvalidCredential,
    InvalidLogin,
    InvalidStep,
    LoginTooOld,
    NotFound,
    NotLoggedIn,
    Rejected,
    StepRequired,
    StoreUnavailable,
    Throttled,
)

CONTENT_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal: status, code, and a sentence for people."""

    status: int
    code: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()

    def body(self) -> bytes:
        """The JSON document. ``type`` is ``about:blank``, so ``title`` is the status phrase (RFC 9457 §4.2.1)."""
        title = HTTPStatus(self.status).phrase
        return msgspec.json.encode({"title": title, "status": self.status, "code": self.code, "detail": self.detail})


def bearer_challenge(error: str | None = None) -> tuple[str, str]:
    """``WWW-Authenticate`` (RFC 6750 §3): no error code when no credential was presented."""
    return ("WWW-Authenticate", "Bearer" if error is None else f'Bearer error="{error}"')


NOT_LOGGED_IN: Final = Problem(401, "not_logged_in", "Log in first.", (bearer_challenge(),))
INVALID_CREDENTIAL: Final = Problem(
    401, "invalid_credential", "The credential is not valid.", (bearer_challenge("invalid_token"),)
)
UNAVAILABLE: Final = Problem(503, "unavailable", "This cannot be checked at the moment.", (("Retry-After", "1"),))
INTERNAL: Final = Problem(500, "internal_error", "Something went wrong on our side.")

_FIXED: Final[tuple[tuple[type[CoatcheckError], Problem], ...]] = (
    (NotLoggedIn, NOT_LOGGED_IN),
    (InvalidCredential, INVALID_CREDENTIAL),
    (StepRequired, Problem(401, "step_required", "More is needed to log in.", (bearer_challenge(),))),
    (InvalidStep, Problem(401, "invalid_step", "That was not right.", (bearer_challenge(),))),
    (AttemptOver, Problem(401, "attempt_over", "This login has ended. Begin it anew.", (bearer_challenge(),))),
    (InvalidLogin, Problem(401, "invalid_login", "E-mail address or password is wrong.", (bearer_challenge(),))),
    (StoreUnavailable, UNAVAILABLE),
    (CrossSite, Problem(403, "cross_site", "This request must come from the same origin, or carry X-CSRF-Token.")),
    (
        Forbidden,  # RFC 6750 §3.1
        Problem(
            403, "forbidden", "This needs a right that you do not have.", (bearer_challenge("insufficient_scope"),)
        ),
    ),
    (NotFound, Problem(404, "not_found", "There is no such thing.")),
    (EmailTaken, Problem(409, "email_taken", "There is an account with this e-mail address already.")),
    (Conflict, Problem(409, "conflict", "Someone else was faster. Look again and retry.")),
)


class Refusal(CoatcheckError):
    """The request is refused with this problem; nothing was changed."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def problem_of(error: CoatcheckError) -> Problem:
    """What a client may know of an error."""
    if isinstance(error, Refusal):
        return error.problem
    if isinstance(error, Throttled):
        retry = (("Retry-After", str(error.retry_after)),)
        return Problem(429, "throttled", "Too many tries. Wait a little.", retry)
    if isinstance(error, LoginTooOld):
        return _login_too_old(error.max_age)
    if isinstance(error, Rejected):
        return Problem(422, error.code, str(error))
    return next((problem for kind, problem in _FIXED if isinstance(error, kind)), INTERNAL)


def _login_too_old(max_age: float) -> Problem:
    """RFC 9470 §3: the client lets the subject prove again who they are, and repeats the request."""
    challenge = f'Bearer error="insufficient_user_authentication", max_age="{int(max_age)}"'
    return Problem(401, "login_too_old", "Prove again who you are.", (("WWW-Authenticate", challenge),))
