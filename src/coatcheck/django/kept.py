"""Django's sessions (``request.session``): what is kept for one person is not handed to the next, see
`coatcheck.adapters.kept`. A session is looked at when somebody uses it and not before.

Django's middleware makes a store for each request long before it is known who is asking, and writes it after everybody
is done. So the store of a request becomes one of a class that looks at what it reads and marks what it writes.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from ..adapters.kept import OWNER, hide, mark_for, mark_of, seal
from ..credentials.arrival import Arrival
from .requests import REFUSAL, arrival_of

_TURNED: Final = "coatcheck.turned"
"""Key of ``request.META``: the mark of whoever the browser is from now on, where that has changed on the way."""
MESSAGES: Final = "messages"
"""The cookie of ``django.contrib.messages``."""
FORGOTTEN: Final = "coatcheck.messages"
"""Key of ``request.META``: that cookie was somebody else's, and is to go."""
_OF_DJANGO: Final = ("_auth_user_id", "_auth_user_backend", "_auth_user_hash")
"""What ``django.contrib.auth.login`` keeps for itself."""


class _Bound(SessionBase):
    """What goes before the engine's own store."""

    coatcheck_request: ref[HttpRequest]
    coatcheck_adopted = False
    """Whether a visitor had kept it, and has logged in since."""
    coatcheck_hidden = False
    """Whether there is something in it, and nobody is shown it for now."""

    if TYPE_CHECKING:  # the types of Django leave them out

        def _get_session(self, no_load: bool = False) -> dict[str, Any]: ...

        async def _aget_session(self, no_load: bool = False) -> dict[str, Any]: ...

    def load(self) -> dict[str, Any]:
        found: dict[str, Any] = super().load()
        if self.is_foreign(found):
            self.flush()
            return {}
        return found

    async def aload(self) -> dict[str, Any]:
        found: dict[str, Any] = await super().aload()
        if self.is_foreign(found):
            await self.aflush()
            return {}
        return found

    def save(self, must_create: bool = False) -> None:
        if self._is_to_be_saved(self._get_session(no_load=must_create)):
            super().save(must_create)

    async def asave(self, must_create: bool = False) -> None:
        if self._is_to_be_saved(await self._aget_session(no_load=must_create)):
            await super().asave(must_create)

    def is_foreign(self, found: MutableMapping[str, Any]) -> bool:
        """Whether somebody else has left it. What a visitor has kept is this person's from now on, and what may be
        theirs again after a refresh is hidden. Raises what refuses the request where it is not known who is asking."""
        request = self.coatcheck_request()
        if request is None or not found:
            return False
        owner, mark = found.get(OWNER), _mark(request)
        if owner is not None:
            if REFUSAL in request.META and _TURNED not in request.META:
                raise request.META[REFUSAL]
            if mark is None and _TURNED not in request.META and arrival_of(request).may_be_renewed:
                self.coatcheck_hidden = hide(found)
                return False
            return bool(owner != mark)
        if mark is not None:
            found[OWNER] = mark
            self.modified = self.coatcheck_adopted = True
        return False

    def _is_to_be_saved(self, found: MutableMapping[str, Any]) -> bool:
        """Whether there is anything to be saved, which is marked as this person's."""
        request = self.coatcheck_request()
        if request is not None:
            seal(found, _mark(request))
        return bool(found) or not self.coatcheck_hidden


@cache
def _bound(store: type[SessionBase]) -> type[SessionBase]:
    # Its name is part of how a store signs what it writes.
    same = {"__module__": store.__module__, "__qualname__": store.__qualname__}
    return type(store.__name__, (_Bound, store), same)


def bind(request: HttpRequest) -> None:
    """Bind the session of a request, if there is one. Nothing is read."""
    session: Any = getattr(request, "session", None)
    if isinstance(session, SessionBase):
        bound: Any = session
        bound.coatcheck_request = ref(request)
        bound.__class__ = _bound(type(session))
        _look_again(bound)


def turn(request: HttpRequest, turns: Iterable[str | None]) -> None:
    """From now on the browser is this subject's, or nobody's: it is being given our cookies, or made to forget them.
    As ``django.contrib.auth`` does it, what somebody else has left is flushed, and what a visitor has kept goes under
    another key. After a logout not even that is left."""
    session: Any = getattr(request, "session", None)
    before = getattr(request, "identity", None)
    for subject in turns:
        comes = subject is not None and (before is None or subject != before.subject)
        if comes and "CSRF_COOKIE" in request.META:
            rotate_token(request)  # forms of before are of another login; after a logout they are nobody's
        if subject is None or (before is not None and subject != before.subject):
            forget_messages(request)
        request.META[_TURNED] = mark_of(subject)
        if isinstance(session, _Bound):
            with suppress(SynchronousOnlyOperation):  # in an event loop whoever reads it next finds it out
                _turn(session, subject)


def has_ended(arrival: Arrival) -> bool:
    """Whether somebody was logged in at this browser, and will not be by a refresh."""
    return arrival.has_cookies and not arrival.may_be_renewed


def forget_messages(request: HttpRequest) -> None:
    """Of ``django.contrib.messages``, which keeps them in a cookie of its own before it takes the session."""
    if request.COOKIES.pop(MESSAGES, None) is not None:
        request.META[FORGOTTEN] = True


def turn_at_login(request: HttpRequest, subject: str) -> None:
    """The same after ``django.contrib.auth.login``, which sees to what it has kept itself."""
    session: Any = getattr(request, "session", None)
    before = getattr(request, "identity", None)
    if before is not None and before.subject != subject:
        forget_messages(request)
    request.META[_TURNED] = mark_of(subject)
    if isinstance(session, _Bound) and session.get(OWNER) not in (None, mark_of(subject)):
        own = {name: session[name] for name in _OF_DJANGO if name in session}
        session.flush()
        session.update(own)


def _turn(session: Any, subject: str | None) -> None:
    if session.session_key is None and not hasattr(session, "_session_cache"):
        return
    if subject is None:
        session.flush()
        return
    _look_again(session)
    session.get(OWNER)  # reads it, where nobody has
    if session.coatcheck_adopted and session.session_key is not None:
        session.cycle_key()


def _look_again(session: Any) -> None:
    """At what has been read already, before it was known who is asking."""
    found = getattr(session, "_session_cache", None)
    if found and session.is_foreign(found):
        session.flush()


def _mark(request: HttpRequest) -> str | None:
    if _TURNED in request.META:
        turned: str | None = request.META[_TURNED]
        return turned
    return mark_for(getattr(request, "identity", None))
