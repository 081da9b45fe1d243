"""What an operation costs does not grow with other people's sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event

from coatcheck.model import Session
from coatcheck.stores.base import Counted, Touch
from coatcheck.stores.sql import SqlStore
from coatcheck.testing.store_contract.support import logged_in, new_session

OPERATIONS: dict[str, Callable[[SqlStore, Session], Awaitable[Any]]] = {
    "create": lambda store, one: store.create(new_session(one.created, one.subject), now=one.created, keep=1),
    "find": lambda store, one: store.find(one.id, now=one.created),
    "touch": lambda store, one: store.touch([Touch(session_id=one.id, seen=one.created)], now=one.created),
    "rotate": lambda store, one: store.rotate(one.id, 0, window=1.0, now=one.created),
    "update": lambda store, one: store.update(one.id, 0, now=one.created, amr=("otp",)),
    "revoke": lambda store, one: store.revoke(one.id, now=one.created),
    "revoke_subject": lambda store, one: store.revoke_subject(one.subject, now=one.created, excepted=one.id),
    "sessions_of": lambda store, one: store.sessions_of(one.subject, now=one.created),
    "prune": lambda store, one: store.prune(now=one.created, keep_events=0.0),
    "events": lambda store, one: store.events(None, wait=0),
    "count_failure": lambda store, one: store.count_failure("ip", now=1.0, window=1.0),
    "failures": lambda store, one: store.failures(["ip", "name"], now=1.0),
    "count_try": lambda store, one: store.count_try([Counted("ip", 9, 1.0), Counted("name", 9, 1.0)], now=1.0),
    "settle_try": lambda store, one: store.settle_try(
        uncounted=["ip"], cleared=["name"], counted=Counted("known", 9, 1.0), now=1.0
    ),
    "by_email": lambda store, one: store.by_email("x"),
}
ALLOWED = {
    "SCAN coatcheck_feed",
    "SCAN coatcheck_events",
    *(f"SCAN anon_{number}" for number in range(1, 20)),
    "SCAN CONSTANT ROW",
    "SCAN 2 CONSTANT ROWS",
    "SCAN coatcheck_subjects USING INDEX coatcheck_subjects_unswept",
    "SCAN coatcheck_subjects USING COVERING INDEX coatcheck_subjects_unswept",
}
"""The feed's one row, the oldest events, the sessions of each kind up to a LIMIT (whose own steps are looked at as
well), the rows of an INSERT, and the index of subjects with something left to delete."""


@pytest.mark.parametrize("name", OPERATIONS)
async def test_no_statement_scans_a_table(store: SqlStore, name: str) -> None:
    """SQLite's plans: every table is searched by an index, and nothing is sorted."""
    session = await logged_in(store)
    statements: list[tuple[str, Any]] = []

    def note(connection: Connection, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        many = isinstance(parameters, list)
        statements.append((statement, parameters[0] if many else parameters))

    for engine in store.database.engines:
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    await OPERATIONS[name](store, session)
    asked = [found for found in statements if not found[0].startswith("BEGIN")]
    assert asked
    for statement, parameters in asked:
        plan = await store.database.read(
            lambda tx, text=statement, values=parameters: tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
        )
        steps = {row[3] for row in plan}
        assert not {step for step in steps if step.startswith(("SCAN", "USE TEMP"))} - ALLOWED, (statement, steps)


async def test_a_cut_off_costs_the_same_for_one_session_and_many(store: SqlStore) -> None:
    """The same statements, each touching one row."""
    rows: list[int] = []

    def note(connection: Connection, cursor: Any, statement: str, *_: object) -> None:
        if not statement.startswith(("BEGIN", "SELECT")):
            rows.append(cursor.rowcount)

    event.listen(store.database.engines[0].sync_engine, "after_cursor_execute", note)
    session = await logged_in(store)
    costs, epoch = [], 0
    for more in (0, 20):
        for _ in range(more):
            await logged_in(store, session.subject, epoch=epoch)
        rows.clear()
        epoch = await store.revoke_subject(session.subject, now=session.created)
        costs.append(sum(max(0, changed) for changed in rows))
    assert costs[0] == costs[1] <= 3


@pytest.mark.parametrize("name", [*OPERATIONS, "events after"])
async def test_no_statement_scans_a_table_on_postgresql(pg: SqlStore, pg_url: str, name: str) -> None:
    """With scans made dear, the plan has none but of the feed's one row: there is an index for everything."""
    session = await logged_in(pg)
    cursor = (await pg.events(None, wait=0)).cursor
    statements: list[tuple[str, Any]] = []

    def note(connection: Connection, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        statements.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    event.listen(pg.database.engines[0].sync_engine, "before_cursor_execute", note)
    if name == "events after":
        await pg.events(cursor, wait=0)
    else:
        await OPERATIONS[name](pg, session)
    explained = SqlStore.postgresql(f"{pg_url}?options=-c%20enable_seqscan%3Doff")
    await explained.open()
    assert statements
    for statement, parameters in statements:
        plan = await explained.database.write(
            lambda tx, text=statement, values=parameters: tx.exec_driver_sql(f"EXPLAIN {text}", tuple(values)).all()
        )
        scans = {row[0].partition("Seq Scan on ")[2].split()[0] for row in plan if "Seq Scan on " in row[0]}
        assert scans <= {"coatcheck_feed"}, (statement, plan)
    await explained.close()
