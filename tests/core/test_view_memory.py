"""What the view holds of a million revocations."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from coatcheck.credentials.opaque import new_session_id
from coatcheck.errors import RevokedCredential
from coatcheck.model import Event, EventKind
from coatcheck.view import RevocationView

_MANY = 100_000


def refuses(view: RevocationView, *, session_id: str = "", token_id: str = "") -> bool:
    try:
        view.check_access(session_id=session_id, token_id=token_id, subject="u", epoch=0, version=0)
    except RevokedCredential:
        return True
    return False


def revoked(session_id: str) -> Event:
    return Event(kind=EventKind.SESSION_REVOKED, at=0.0, subject="u", session_id=session_id)


def test_a_million_revoked_sessions_fit_into_a_hundred_megabytes() -> None:
    """A hundred bytes each at most, measured on a tenth of them, ids and all that leads to them included."""
    view = RevocationView(1000.0)
    view.cover(0.0)
    ids = [new_session_id("ann") for _ in range(_MANY)]
    tracemalloc.start()
    try:
        for session_id in ids:
            view.apply(revoked(session_id))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / _MANY < 100
    assert all(refuses(view, session_id=session_id) for session_id in ids)
    assert not any(refuses(view, session_id=new_session_id("ann")) for _ in range(1000))


def test_an_event_that_comes_again_takes_no_room() -> None:
    """The feed may be read twice; the view stays as large as it is."""
    view = RevocationView(1000.0)
    view.cover(0.0)
    view.apply(revoked("session"))
    tracemalloc.start()
    try:
        for _ in range(10_000):
            view.apply(revoked("session"))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 20_000  # a line for each would be 80,000; other threads of this process take some as well


_ODD = st.text(alphabet=st.sampled_from("ab\n\\nN\ud800é"), max_size=6)


@given(added=st.lists(_ODD, max_size=8), asked=_ODD)
def test_an_id_is_itself_only(added: list[str], asked: str) -> None:
    """Whatever text ids are, line ends and lone surrogates too: exactly those that were revoked are refused."""
    view = RevocationView(1000.0)
    view.cover(0.0)
    for token_id in added:
        view.apply(Event(kind=EventKind.TOKEN_REVOKED, at=0.0, session_id="s", token_id=token_id))
    assert refuses(view, session_id="s", token_id=asked) == (asked in added)
