"""Litestar's sessions (``request.session``): what is kept for one person is not handed to the next, see `kept`.

Its session middleware is made by the application, and stands inside of ours. So what is changed is the backend that it
reads from and writes to: there the session is settled before any handler sees it, and sealed before it is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

from litestar.connection import ASGIConnection
from litestar.middleware import DefineMiddleware
from litestar.middleware.session import SessionMiddleware
from litestar.middleware.session.base import BaseSessionBackend
from litestar.types import Empty, Message, ScopeSession

from ..adapters.asgi import IDENTITY, arrival_of
from ..adapters.asgi import Scope as PlainScope
from ..adapters.kept import FOR, hide, mark_for, seal, settle

_BACKEND: Final = "backend"
_HELD: Final = "coatcheck.held"
"""Scope key: whether there was anything in the session when the request came."""

_HIDDEN: Final = "coatcheck.hidden"
"""Scope key: whether it is there, and nobody is shown it for now."""


class BoundBackend(BaseSessionBackend[Any]):
    """The application's own backend, whose sessions are bound to people."""

    __slots__ = ("_inner",)

    def __init__(self, inner: BaseSessionBackend[Any]) -> None:
        super().__init__(inner.config)
        self._inner = inner

    def get_session_id(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
        """See `BaseSessionBackend`."""
        return self._inner.get_session_id(connection)

    async def load_from_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> dict[str, Any]:
        """See `BaseSessionBackend`."""
        kept = await self._inner.load_from_connection(connection)
        scope = cast("PlainScope", connection.scope)
        scope[_HELD] = bool(kept)
        if IDENTITY in scope:  # where nobody has looked who is asking, it is what it is
            scope[FOR] = mark_for(scope[IDENTITY])
            if scope[FOR] is None and arrival_of(scope).may_be_renewed:
                scope[_HIDDEN] = hide(kept)
            else:
                settle(kept, scope[FOR])
        return kept

    async def store_in_message(
        self, scope_session: ScopeSession, message: Message, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> None:
        """See `BaseSessionBackend`."""
        scope = cast("PlainScope", connection.scope)
        if scope_session is not Empty and scope_session is not None and not isinstance(scope_session, dict):
            # A model, of which there is no telling whose it is: it is stored as what it will be read as.
            written = self._inner.serialize_data(scope_session, connection.scope)
            scope_session = self._inner.deserialize_data(written)
        if isinstance(scope_session, dict):
            seal(scope_session, scope.get(FOR))
            if not scope_session and scope.get(_HIDDEN):
                return  # neither shown nor deleted
            if not scope_session and scope.get(_HELD):
                scope_session = Empty  # what was emptied is deleted, and not stored as something empty
        await self._inner.store_in_message(scope_session, message, connection)


def bind_sessions(middleware: Iterable[object]) -> None:
    """Bind the sessions of each session middleware among these."""
    for each in middleware:
        if not isinstance(each, DefineMiddleware) or not isinstance(each.middleware, type):
            continue
        backend: Any = each.kwargs.get(_BACKEND)
        if issubclass(each.middleware, SessionMiddleware) and not isinstance(backend, BoundBackend):
            each.kwargs[_BACKEND] = BoundBackend(backend)
