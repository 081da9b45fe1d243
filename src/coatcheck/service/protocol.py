"""HTTP/1.1 with bounds on what a client may send before it is answered.

uvicorn bounds neither the size of a request's head nor the time that a request takes to arrive, and takes the trailer
fields of a chunked body for headers of the request, so that one connection could fill the memory, many could stay for
ever, and a client could write what only a proxy may (RFC 9110 §6.5.1).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD: Final = 64 * 1024
"""Bytes of a request that are not its body: request line, headers, chunk sizes, trailers. What the same read brings
beyond that is still taken. uvicorn's other parser has the same bound."""
PATIENCE: Final = 30.0
"""Seconds in which a request must have arrived, body included, and in which the first one must begin."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which refuses too large a head with 400 and closes connections that are too slow."""

    patience = PATIENCE

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outside_body = 0
        self._in_head = False
        self._arriving = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._start_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._outside_body += len(data)
        super().data_received(data)
        if self._outside_body > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("Too much besides a body.")
        if self._deadline is None and (self._arriving or self._outside_body):
            self._start_waiting()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._arriving = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._outside_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._outside_body = 0
        self._arriving = False
        self._stop_waiting()
        super().on_message_complete()

    def _start_waiting(self) -> None:
        self._deadline = self.loop.call_later(self.patience, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
