"""What the applications of `bench/frameworks.py` have in common: a mode, somebody logged in, and the same answer."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from coatcheck import Auth, Credentials, Mode, SubjectFacts

MODE = os.environ["BENCH_MODE"]
"""``none``: the same route without authentication."""
GUARDED = MODE != "none"
ANSWER = {"hello": "world", "items": [1, 2, 3]}
SUBJECT = "user-1"


def facts(subject: str) -> SubjectFacts:
    """Everybody's roles."""
    return SubjectFacts(roles=frozenset({"reader", "editor"}))


def mode() -> Mode:
    return Mode(MODE) if GUARDED else Mode.JWT


def ready(made: Credentials) -> None:
    """Tell the benchmark which process to watch, and with which header a request is let in."""
    header = f"Authorization: Bearer {made.access_token}"
    if made.session_token is not None:
        header = f"Cookie: coatcheck={made.session_token}"
    elif made.session.mode is Mode.JWT_COOKIE:
        header = f"Cookie: coatcheck-access={made.access_token}"
    target = Path(os.environ["BENCH_READY"])
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps({"header": header, "pid": os.getpid()}))
    partial.replace(target)


def asynchronous() -> Auth:
    return Auth("memory://", subjects=facts)


@asynccontextmanager
async def logged_in(auth: Auth, running: Any) -> AsyncIterator[Any]:
    """Within ``running``, which starts ``auth``: somebody is logged in."""
    async with running as state:
        ready(await auth.login(SUBJECT, mode=mode()))
        yield state
