"""Flask's ``session``: what is kept for one person is not handed to the next, see `kept`. So with every session
interface whose sessions are dictionaries, such as those of Flask-Session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

from flask.globals import request_ctx
from flask.sessions import SessionMixin
from werkzeug.local import LocalProxy

from ..adapters.kept import OWNER, hide, mark_for, mark_of, seal, settle, turn_to
from ..adapters.wsgi import Environ, arrival_of
from ..model import Identity

_FOR: Final = "coatcheck.kept_for"
"""Key of the request's environment: the mark of whoever the browser is, where that is known."""
_context: Final = cast("LocalProxy[Any]", request_ctx)._get_current_object
"""What is behind it, asked for once."""


def held() -> SessionMixin | None:
    """Flask's session, without saying that anybody has used it."""
    context = vars(_context())
    found: SessionMixin | None = context.get("_session")  # newer versions say it of every other way to get at it
    return context.get("session") if found is None else found


def is_bound() -> bool:
    """Whether there is anything in it that was kept for a person."""
    return OWNER in (held() or ())


def bind(environ: Any, identity: Identity | None) -> None:
    """Before any view sees it."""
    if session := held():
        environ[_FOR] = mark_for(identity)
        if identity is None and arrival_of(environ).may_be_renewed:
            hide(session)
        else:
            settle(session, environ[_FOR])


def turn(environ: Any, subjects: Iterable[str | None]) -> None:
    """From now on the browser is this subject's, or nobody's: it is being given our cookies, or made to forget them."""
    for subject in subjects:
        environ[_FOR] = mark_of(subject)
        if (session := held()) is not None:
            turn_to(session, subject)


def seal_for(environ: Environ, identity: Identity | None) -> None:
    """After every view has written. ``identity``: who has asked."""
    if session := held():
        seal(session, environ[_FOR] if _FOR in environ else mark_for(identity))
