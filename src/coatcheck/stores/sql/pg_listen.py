"""Being woken, and waking others, when an event was committed. Nothing depends on it but speed: readers look anyway.

NOTIFY inside the transaction would make all commits of the server wait for each other, so it is sent afterwards, on
this connection of its own, whose commits wait for no disk. While one is on its way, any more become a single one.

A notice also says what was committed, so that it can be acted upon before it is read. Whoever may connect to the
database may send notices, and other schemas may hold other feeds: so what it says counts only with a MAC whose key is
the feed's identity, which whoever may read the feed's table knows.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from ...errors import CoatcheckError
from ...model import Event, EventKind
from ..base import Hearer
from ..rules import stored_event, third_name
from ..turns import NoRoom
from .pg_connect import DRIVER_ERRORS, Server
from .pg_link import Link

log = logging.getLogger("coatcheck.stores.postgresql")

_Notify = Callable[[str], Awaitable[Any]]

CHANNEL: Final = "coatcheck_events"
_MOST: Final = 7900
"""Bytes of a notice; the server takes 7999 (PostgreSQL, NOTIFY). What is longer is left to be read."""
_MAC: Final = 64
"""Characters of the MAC in front."""
_KEPT: Final = 100
"""Events that wait to be told of while the connection is lost; the others are left to be read."""
_NOTIFY: Final = f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', $1)"
"""Waits for no disk: who is not told looks."""
_PROBE: Final = 10.0
"""Seconds without any notice after which the connection is tried."""
_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before the connection is made again; the last one repeats."""

_TOLD: Final = 3
"""Tries in vain, one after the other, after which the log says so: it is no server that merely starts again."""

_BY_LOOKING: Final = "until then what other processes revoke is seen by looking, four times a second"

_ASIDE: Final = 30.0
"""Seconds before it asks for a connection again where the server has no room."""


class Listener:
    """One connection that listens and notifies for the whole process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._task: asyncio.Task[None] | None = None
        self._connection: Link | None = None
        self._has_warned = False
        self._pause = 0.0
        self._asked = asyncio.Event()
        self._wake = asyncio.Event()
        self.wakes = 0
        """Steps whenever something may have been committed."""
        self.hearer: Hearer | None = None
        """Called with the events of others that a notice brings."""
        self.feed = ""
        """The identity of the feed, once it was read."""
        self._to_tell: list[Event] = []

    def start(self) -> None:
        """Connect, and connect again whenever it is lost, until `stop`."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Give the connection back. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def step_back(self) -> None:
        """Leave the connection to those who work: the server lets no other in."""
        self._pause = _ASIDE
        if self._connection is not None:
            self._connection.terminate()

    def announce(self, events: Sequence[Event]) -> None:
        """These were committed here: wake this process at once, and tell the others by way of the server."""
        if events:
            self._to_tell = [*self._to_tell, *events][-_KEPT:]
            self._awaken()
            self._asked.set()

    async def woken(self, wakes: int, wait: float) -> bool:
        """Wait until `wakes` is no longer this, at most so many seconds. Whether it is."""
        if self.wakes != wakes:
            return True
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def _awaken(self) -> None:
        self.wakes += 1
        self._wake.set()
        self._wake = asyncio.Event()

    async def _run(self) -> None:
        pauses, failures = iter(_PAUSES), 0
        while True:
            try:
                connection = self._connection = await self._server.connect(listens=True)
                notify = await self._begin(connection)
                connection.add_termination_listener(self._lost)
                self._awaken()
                pauses, failures = iter(_PAUSES), 0
                while True:
                    await self._serve(connection, notify)
            except (CoatcheckError, *DRIVER_ERRORS) as error:
                failures += 1
                if isinstance(error, NoRoom):
                    self._pause = _ASIDE
                    self._warn(f"no connection is left to listen on; {error}")
                elif failures == _TOLD:
                    why = str(error) if isinstance(error, CoatcheckError) else type(error).__name__
                    log.warning(
                        "there is no connection to listen on (see listen= in the URL): %s: %s", why, _BY_LOOKING
                    )
                self._awaken()
            finally:
                if self._connection is not None:
                    self._connection.terminate()
                    self._connection = None
            pause, self._pause = self._pause, 0.0
            await asyncio.sleep(pause or next(pauses, _PAUSES[-1]))

    async def _begin(self, connection: Link) -> _Notify:
        """Listen, where that is possible. What sends a notice."""
        if not connection.pooled:
            notice = await connection.prepare(_NOTIFY)
            await connection.add_listener(
                CHANNEL, self._heard
            )  # after it: a statement that was not run keeps notices back
            notify: _Notify = notice.fetch
            return notify
        self._warn(
            "a pooler stands before the database and hands on no notices; name the server itself with listen=host:port"
            " in the database's URL"
        )
        return partial(connection.execute, _NOTIFY)

    def _warn(self, text: str) -> None:
        """Once: it costs time, and nothing else."""
        if not self._has_warned:
            self._has_warned = True
            log.warning("%s: %s", text, _BY_LOOKING)

    async def _serve(self, connection: Link, notify: _Notify) -> None:
        """Notify when asked to; otherwise see now and then that the connection still stands."""
        try:
            async with asyncio.timeout(_PROBE):
                await self._asked.wait()
        except TimeoutError:
            await connection.execute("SELECT 1")
        else:
            self._asked.clear()
            events, self._to_tell = self._to_tell, []
            await notify(pack(self.feed, events))

    def _heard(self, connection: Any, pid: int, channel: str, payload: object) -> None:
        # The driver hands on what came just before the connection was closed, when it no longer has a process.
        if connection.is_closed() or pid == connection.get_server_pid():
            return
        events = unpack(self.feed, str(payload))
        if self.hearer is not None and events:
            self.hearer(events)
        self._awaken()

    def _lost(self, connection: Any) -> None:
        self._asked.set()


_Row = tuple[EventKind, float, str, str, str, int]
_rows: Final = msgspec.json.Decoder(list[_Row])


def pack(feed: str, events: Sequence[Event]) -> str:
    """The text of a notice; empty when the feed is not known yet or the events do not fit."""
    rows: list[_Row] = [
        (event.kind, event.at, event.subject, event.session_id, third_name(event), event.number) for event in events
    ]
    said = json.dumps(rows, separators=(",", ":"))  # ASCII, whatever the database's encoding
    return f"{_mac(feed, said)}{said}" if feed and len(said) + _MAC <= _MOST else ""


def unpack(feed: str, text: str) -> list[Event]:
    """The events of a notice. None of one that does not come from somebody who knows this feed."""
    mac, said = text[:_MAC], text[_MAC:]
    if not feed or not said or not hmac.compare_digest(mac.encode(), _mac(feed, said).encode()):
        return []
    try:
        rows = _rows.decode(said)
    except msgspec.MsgspecError:  # of another version of this program
        return []
    return [stored_event(*row) for row in rows]


def _mac(feed: str, said: str) -> str:
    return hmac.new(feed.encode(), said.encode(), "sha256").hexdigest()
