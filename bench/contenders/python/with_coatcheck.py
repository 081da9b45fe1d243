"""What the applications with Coatcheck have in common: where the sessions are, and what a client sends.

STORE is where the sessions are, and the contender's Redis unless it is set. Everybody has two roles. Settings are the
defaults; the benchmark is over before an access token of fifteen minutes has ended.
"""

from __future__ import annotations

import os
import sys

from shared import REDIS_URL, SECRET, LogIn

from coatcheck import Auth, Credentials, Mode, SubjectFacts

STORE = os.environ.get("STORE") or REDIS_URL


def facts(subject: str) -> SubjectFacts:
    return SubjectFacts(roles=frozenset({"reader", "editor"}))


def make_auth() -> Auth:
    return Auth(STORE, secret=SECRET, subjects=facts)


def logging_in(auth: Auth) -> LogIn:
    """In the mode that the command line names: ``session``, ``jwt`` or ``jwt-cookie``."""
    mode = Mode(sys.argv[1])

    async def log_in(user: str) -> str:
        return header(await auth.login(user, mode=mode))

    return log_in


def header(made: Credentials) -> str:
    """What a client sends, over plain http from the same machine."""
    if made.session_token is not None:
        return f"Cookie: coatcheck={made.session_token}"
    if made.session.mode is Mode.JWT_COOKIE:
        return f"Cookie: coatcheck-access={made.access_token}"
    return f"Authorization: Bearer {made.access_token}"
