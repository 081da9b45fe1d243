"""Column types of our own."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Text
from sqlalchemy.types import UserDefinedType

ID: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Text ordered by its code points in every database, whatever its locale: faster, and alike everywhere."""


class TransactionId(UserDefinedType[int]):
    """PostgreSQL's ``xid8``: a transaction's number, never given twice."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name."""
        return "XID8"
