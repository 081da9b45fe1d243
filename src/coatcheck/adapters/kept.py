"""What a framework keeps for a person between requests, in a session of its own: bound to whom it was kept for.

It knows nothing of our sessions, and its cookie outlives them: whoever comes next to that browser would read it. So
whatever is kept while somebody is logged in carries a mark of theirs, and is emptied when the browser is somebody
else's, or nobody's any more: at a logout, at a login over a login, and at the first request that finds a session ended,
wherever that was done. What an anonymous visitor has kept stays theirs when they log in. A browser whose access token
has expired may be about to refresh it: until then it reads nothing, and loses nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any, Final, TypeGuard

from ..model import Identity

Kept = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]

OWNER: Final = "coatcheck"
"""The key in a framework's session under which the mark stands."""
TURNS: Final = "coatcheck.turns"
"""Scope key of the service: the list in which it says whose the browser is from now on, for adapters of threads."""
FOR: Final = "coatcheck.kept_for"
"""Scope key: the mark of whoever the request is of, None for nobody. It is there where the session is bound."""
_SESSION: Final = "session"
"""The scope key of Starlette's session, and of Litestar's."""


@lru_cache(maxsize=1024)
def _mark(subject: str) -> str:
    return blake2b(subject.encode("utf-8", "surrogatepass"), digest_size=16, person=b"coatcheck kept").hexdigest()


def mark_of(subject: str | None) -> str | None:
    """What stands for a subject in what is kept for them, which often is a cookie that anybody can read."""
    return None if subject is None else _mark(subject)


def mark_for(identity: Identity | None) -> str | None:
    """`mark_of` whoever is asking."""
    return None if identity is None else _mark(identity.subject)


def settle(kept: Kept, mark: str | None) -> None:
    """Before anybody looks: what is somebody else's goes, and what a visitor has kept is now this person's."""
    if not kept:
        return
    owner = kept.get(OWNER)
    if owner is None:
        seal(kept, mark)
    elif owner != mark:
        kept.clear()


def hide(kept: Kept) -> bool:
    """Show nothing of what is somebody's, and do not count that as a change. Whether there was anything to hide."""
    if OWNER not in kept:
        return False
    if isinstance(kept, dict):
        dict.clear(kept)  # past what takes notice
    else:
        kept.clear()
    return True


def seal(kept: Kept, mark: str | None) -> None:
    """After everybody has written: what was kept is this person's."""
    if kept and mark is not None and OWNER not in kept:
        kept[OWNER] = mark


def turn(scope: Scope, subject: str | None) -> None:
    """From now on the browser is this subject's, or nobody's: it is being given our cookies, or made to forget them."""
    turns: list[str | None] | None = scope.get(TURNS)
    if turns is not None:
        turns.append(subject)
        return
    kept = scope.get(_SESSION)
    if _is_kept(kept):
        scope[FOR] = mark_of(subject)
        turn_to(kept, subject)


def _is_kept(kept: object) -> TypeGuard[Kept]:
    """By its class: an instance may raise whatever is asked of it while it has not been loaded."""
    return issubclass(type(kept), MutableMapping)


def turn_to(kept: Kept, subject: str | None) -> None:
    """The same for what is kept itself. After a logout not even a visitor's is left."""
    if subject is None:
        if kept:
            kept.clear()
    else:
        settle(kept, mark_of(subject))


def bind(scope: Scope, identity: Identity | None, *, renewable: bool = False) -> None:
    """Settle the session in the scope of a request, where there is one. ``renewable``: whether whoever is nobody now
    may be somebody again after a refresh."""
    kept = scope[_SESSION]
    if not _is_kept(kept):
        return
    mark = scope[FOR] = mark_for(identity)
    if mark is None and renewable:
        hide(kept)
    else:
        settle(kept, mark)


def seal_in(scope: Scope) -> None:
    """Seal the session in the scope of a request, which is answered now, or has failed: then somebody further out may
    answer it, and write the session into that. Nothing where it is not bound."""
    kept = scope[_SESSION] if FOR in scope else None
    if _is_kept(kept):
        seal(kept, scope.get(FOR))


def binding(scope: Scope, identity: Identity | None, send: Send, *, renewable: bool = False) -> Send:
    """`bind`, and the ``send`` that seals the session before it is written into the answer."""
    bind(scope, identity, renewable=renewable)
    return partial(_sealing, scope, send)


def _sealing(scope: Scope, send: Send, message: Message) -> Awaitable[None]:
    if message["type"] == "http.response.start":
        seal_in(scope)
    return send(message)
