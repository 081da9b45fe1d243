"""What a client is told of an error."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from coatcheck import errors
from coatcheck.adapters.problems import INTERNAL, problem_of
from coatcheck.errors import CoatcheckError, Forbidden, LoginTooOld, NotLoggedIn, StepRequired, Throttled, WeakPassword

SECRET = "ccs_something-that-nobody-may-read"


def every_error() -> list[CoatcheckError]:
    """One of each kind, with a secret in its text."""
    found = list[CoatcheckError]()
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, CoatcheckError):
            found.append(_one(kind))
    return found


def _one(kind: Any) -> CoatcheckError:
    if kind is StepRequired:
        return StepRequired(("totp",), SECRET, expires_in=300)
    return kind(7) if kind in (Throttled, LoginTooOld) else kind(SECRET)


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error(error: CoatcheckError) -> None:
    """Each has a status, a stable code and a sentence; a 401 says how to authenticate, a missing right that it is one
    (RFC 6750 §3.1); nothing of the error's own text
    gets out, but for input that breaks a rule."""
    problem = problem_of(error)
    body = json.loads(problem.body())
    assert body == {"title": body["title"], "status": problem.status, "code": problem.code, "detail": problem.detail}
    assert re.fullmatch(r"[a-z_]+", problem.code)
    assert problem.detail
    challenges = [value for name, value in problem.headers if name == "WWW-Authenticate"]
    assert len(challenges) == (problem.status == 401 or problem.code == "forbidden")
    assert (challenges == ['Bearer error="insufficient_scope"']) == (problem.code == "forbidden")
    if not isinstance(error, errors.Rejected):
        assert SECRET not in problem.body().decode()


def test_nobody() -> None:
    """RFC 6750 §3: whoever presented nothing is told the scheme and no error."""
    problem = problem_of(NotLoggedIn("why"))
    assert (problem.status, problem.code, problem.headers) == (401, "not_logged_in", (("WWW-Authenticate", "Bearer"),))


@pytest.mark.parametrize(("seconds", "said"), [(300, "300"), (0.5, "0"), (90.9, "90")])
def test_login_too_old(seconds: float, said: str) -> None:
    """RFC 9470 §3: the challenge names the age that would do, in whole seconds and never more than that; it is no
    403, and no page for who may not stands in its place."""
    assert not issubclass(LoginTooOld, Forbidden)
    problem = problem_of(LoginTooOld(seconds))
    assert (problem.status, problem.code) == (401, "login_too_old")
    challenge = f'Bearer error="insufficient_user_authentication", max_age="{said}"'
    assert problem.headers == (("WWW-Authenticate", challenge),)


def test_refused_credentials_are_alike() -> None:
    """Why a credential is refused is nobody's business."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    refused = [kind("why") for kind in kinds if issubclass(kind, errors.InvalidCredential)]
    assert len(refused) > 5
    assert len({problem_of(error) for error in refused}) == 1


def test_rejected_input_says_what_is_wrong() -> None:
    """Its code and its words are the error's own."""
    problem = problem_of(WeakPassword("too short"))
    assert (problem.status, problem.code, problem.detail) == (422, "weak_password", "too short")


def test_faults_of_ours() -> None:
    """What no client can help is a bare 500."""
    assert problem_of(errors.ConfigurationError(SECRET)) is INTERNAL
    assert INTERNAL.status == 500
