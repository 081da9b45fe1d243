"""The table: bounded, indexed, and cold entries go first."""

from __future__ import annotations

import tracemalloc
import weakref
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from coatcheck import Identity, Mode
from coatcheck.table import TAIL, Entry, Table


def entry(key: str, session: str = "s", subject: str = "u", *, seen: float = 0.0, mode: Mode = Mode.SESSION) -> Entry:
    identity = Identity(
        subject=subject, session_id=session, roles=frozenset(), claims={}, auth_time=0.0, amr=(), mode=mode
    )
    return Entry(key.encode(), identity, 1e9, seen=seen, token_id=key, idle=60.0 if mode is Mode.SESSION else 0.0)


def test_never_holds_more_than_it_may() -> None:
    """Neither the number of entries nor the bytes pass their bound."""
    by_number = Table(max_entries=10, max_bytes=10**9)
    by_bytes = Table(max_entries=10**9, max_bytes=20_000)
    for number in range(1000):
        for table in (by_number, by_bytes):
            table.put(entry(f"key-{number}" * (number % 50 + 1), f"s{number}", f"u{number % 7}"))
            assert len(by_number) <= 10
            assert by_bytes.bytes <= 20_000
    assert len(by_number) == 10
    assert len(by_bytes) > 5


def test_cold_goes_first() -> None:
    """An entry that was used since it was put in outlives one that was not."""
    table = Table(max_entries=3, max_bytes=10**9)
    for number, key in enumerate("abc"):
        table.put(entry(key, session=key, seen=float(number)))
    used = table.get(b"a")
    assert used is not None
    used.seen = 100.0
    table.put(entry("d", session="d", seen=101.0))
    assert table.get(b"a") is used
    assert table.get(b"b") is None


def test_all_warm_still_bounded() -> None:
    """When everything was used, one still goes, and the insertion looks at a bounded number."""
    table = Table(max_entries=100, max_bytes=10**9)
    for number in range(100):
        table.put(entry(f"k{number}", session=f"s{number}"))
        found = table.get(f"k{number}".encode())
        assert found is not None
        found.seen = 1000.0 + number
    table.put(entry("new", session="new", seen=2000.0))
    assert len(table) == 100
    assert table.get(b"new") is not None


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 11)),
        st.tuples(st.sampled_from(["remove", "session", "subject", "except", "token", "access"]), st.integers(0, 11)),
    ),
    max_size=60,
)


@given(OPERATIONS)
def test_indexes_agree_with_the_entries(operations: list[tuple[str, int]]) -> None:
    """After any sequence of operations a purge by session or subject finds exactly what a search would find."""
    table = Table(max_entries=8, max_bytes=10**9)
    model: dict[str, Entry] = {}
    for name, number in operations:
        session, subject = f"s{number // 2}", f"u{number // 4}"
        key = f"k{number}"
        if name == "put":
            table.put(entry(key, session, subject, mode=Mode.SESSION if number % 2 else Mode.JWT))
        elif name == "remove":
            table.remove(key.encode())
        elif name == "session":
            table.remove_session(session)
            assert not list(table.of_session(session))
        elif name == "subject":
            table.remove_subject(subject)
        elif name == "except":
            table.remove_subject(subject, session)
        elif name == "token":
            table.remove_token(session, key)
        else:
            table.withdraw_access_tokens()
        model = {k: e for k in (f"k{i}" for i in range(12)) if (e := table.get(k.encode())) is not None}
        assert len(table) == len(model)
        by_session = {e.identity.session_id for e in model.values()}
        assert set(table._by_session) == by_session
        assert {s for group in table._by_subject.values() for s in group} == by_session
        assert table.bytes == sum(len(k) + 1730 for k in model)
        gone = {"session": session, "subject": subject, "except": subject}.get(name)
        for held in model.values():
            if name == "session":
                assert held.identity.session_id != gone
            if name == "subject":
                assert held.identity.subject != gone
            if name == "except":
                assert held.identity.subject != gone or held.identity.session_id == session
            if name == "access":
                assert held.identity.mode is Mode.SESSION or held.deadline == float("-inf")


def test_what_ends_alike_is_told_apart() -> None:
    """Of two credentials that end in the same bytes the table holds the last, and forgets it for its own sake only."""
    end = "=" + "t" * TAIL
    table = Table(max_entries=8, max_bytes=10**9)
    first, second = entry("one" + end, "s1"), entry("two" + end, "s2")
    table.put(first)
    table.remove(second.key)
    assert table.get(first.key[-TAIL:]) is first
    table.put(second)
    assert table.get(first.key[-TAIL:]) is second
    assert (len(table), list(table.of_session("s1"))) == (1, [])
    table.remove(first.key)
    assert table.get(first.key[-TAIL:]) is second


class Claims(dict[str, object]):
    """A mapping that can be referred to weakly."""


def test_clear_forgets_all_at_once_and_gives_back_by_and_by() -> None:
    """The ``get`` that was bound before finds nothing afterwards, and what was kept is gone after some insertions."""
    table = Table(max_entries=1000, max_bytes=10**9)
    get = table.get
    gone = []
    for number in range(500):
        one = entry(f"k{number}", f"s{number}", f"u{number % 7}")
        one.identity = replace(one.identity, claims=Claims())
        gone.append(weakref.ref(one.identity.claims))
        table.put(one)
    del one
    table.clear()
    assert (len(table), table.bytes) == (0, 0)
    assert not any(get(f"k{number}".encode()) for number in range(500))
    assert not any(list(table.of_session(f"s{number}")) for number in range(500))
    for number in range(500):
        table.put(entry(f"new{number}", f"s{number}"))
    assert get(b"new7") is not None
    assert not any(each() for each in gone)
    assert not table._rubbish


def test_bytes_include_roles_and_claims() -> None:
    """What the table says it holds is what it takes, whatever the application puts into roles and claims; and its bound
    holds for that."""
    table = Table(max_entries=10**6, max_bytes=10**9)

    def heavy(number: int) -> Entry:
        one = entry(f"k{number}", f"s{number}", f"u{number}")
        claims = {"bio": f"{number}" * 3000, "teams": [{"name": f"team {number} {team}"} for team in range(20)]}
        roles = frozenset(f"role-{number}-{role}" for role in range(20))
        one.identity = replace(one.identity, claims=claims, roles=roles)
        return one

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(500):
        table.put(heavy(number))
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert 0.7 * taken < table.bytes < 1.5 * taken

    small = Table(max_entries=10**6, max_bytes=table.bytes // 10)
    for number in range(500):
        small.put(heavy(number))
        assert small.bytes <= table.bytes // 10
    assert 20 < len(small) < 80


def test_what_was_evicted_weighs_little() -> None:
    """Of an entry that gave way with a use to be written only that is kept, and not its roles and claims."""
    table = Table(max_entries=1, max_bytes=10**9)
    one = entry("a", "s1")
    one.identity = replace(one.identity, claims=Claims(), roles=frozenset({"x"}))
    held = weakref.ref(one.identity.claims)
    table.put(one)
    one.seen = 5.0
    del one
    table.put(entry("b", "s2"))
    assert held() is None
    [kept] = table.due(100.0, 0.0)
    assert (kept.identity.session_id, kept.seen) == ("s1", 5.0)


def test_one_that_is_too_large_is_not_kept() -> None:
    """An identity larger than the whole table is verified each time, and nobody else gives way to it."""
    table = Table(max_entries=10, max_bytes=20_000)
    table.put(entry("small", "s1"))
    large = entry("large", "s2")
    large.identity = replace(large.identity, claims={"x": "y" * 50_000})
    table.put(large)
    assert table.get(b"large") is None
    assert table.get(b"small") is not None
    assert table.bytes < 20_000


def test_every_byte_that_was_put_in_comes_out() -> None:
    """Replacing and forgetting entries of different weight leaves the sum at nothing."""
    table = Table(max_entries=10, max_bytes=10**9)
    for number in range(100):
        one = entry(f"k{number % 7}", f"s{number % 3}")
        one.identity = replace(one.identity, claims={"n": "x" * number * 10})
        table.put(one)
    for number in range(3):
        table.remove_session(f"s{number}")
    assert (len(table), table.bytes) == (0, 0)
