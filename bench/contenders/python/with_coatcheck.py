"""What the applications with Coatcheck have in common: the mode, named on the command line, and the store.

STORE is where the sessions are, and the contender's Redis unless it is set. Everybody has two roles. Settings are the
defaults; the benchmark is over before a token of fifteen minutes has ended.
"""

from __future__ import annotations

import os
import sys

from shared import REDIS_URL, SECRET

from coatcheck import Auth, Credentials, Mode, SubjectFacts

MODE = Mode(sys.argv[1])
STORE = os.environ.get("STORE") or REDIS_URL


def facts(subject: str) -> SubjectFacts:
    return SubjectFacts(roles=frozenset({"reader", "editor"}))


def make_auth() -> Auth:
    return Auth(STORE, secret=SECRET, subjects=facts)


def header(made: Credentials) -> str:
    """What a client sends, over plain http from the same machine."""
    if made.session_token is not None:
        return f"Cookie: coatcheck={made.session_token}"
    if made.session.mode is Mode.JWT_COOKIE:
        return f"Cookie: coatcheck-access={made.access_token}"
    return f"Authorization: Bearer {made.access_token}"
