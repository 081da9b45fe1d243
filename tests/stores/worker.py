"""A process of its own with a store on the file named on the command line; driven by lines of JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import Insert

from coatcheck.stores.base import Touch
from coatcheck.stores.sql import SqlStore, operations
from coatcheck.testing.store_contract.support import new_session


def say(message: object) -> None:
    print(json.dumps(message), flush=True)


async def call(store: SqlStore, session_id: str, order: dict[str, Any]) -> str:
    """One operation on one session; the answer is the name of what came back."""
    now = order["now"]
    result: object
    match order["do"]:
        case "rotate":
            result = await store.rotate(session_id, 0, window=30.0, now=now)
        case "touch":
            result = await store.touch([Touch(session_id=session_id, seen=now)], now=now)
        case "revoke":
            result = await store.revoke(session_id, now=now)
        case other:
            raise AssertionError(other)
    return type(result).__name__


def half_a_create(tx: Connection) -> None:
    """Insert a session, say so, and never come to the commit."""
    operations.create(tx, Insert, operations.to_row(new_session(1_800_000_000.0, "half")), 0.0, None)
    say("inside")
    time.sleep(3600)


async def main(path: Path) -> None:
    store = SqlStore.sqlite(path)
    await store.open(migrate=True)
    say("ready")
    for line in sys.stdin:
        order = json.loads(line)
        match order["do"]:
            case "hang":
                await store.database.write(half_a_create)
            case "follow":
                read = await store.events(order["cursor"], wait=60.0)
                say({"at": time.monotonic(), "events": len(read.events)})
            case _:
                say([await call(store, session_id, order) for session_id in order["sessions"]])
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
