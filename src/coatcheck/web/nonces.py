"""What a caller sends along to know the answer again."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from ..feed_json import NONCE_HEADER

Nonce = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def repeated(nonce: str | None) -> dict[str, str]:
    """The header by which whoever asked knows that the answer is theirs, and not one from a cache."""
    return {} if nonce is None else {NONCE_HEADER: nonce}
