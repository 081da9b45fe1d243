"""Column types of our own."""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator, UserDefinedType

ID: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Text ordered by its code points in every database, whatever its locale: faster, and alike everywhere."""


class TransactionId(UserDefinedType[int]):
    """PostgreSQL's ``xid8``: a transaction's number, never given twice."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name."""
        return "XID8"


class AnyText(TypeDecorator[str]):
    """Text from outside with whatever characters. PostgreSQL keeps no NUL, so there a backslash stands before it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """As it is stored."""
        if value is None or dialect.name != "postgresql":
            return value
        return value.replace("\\", "\\\\").replace("\0", "\\0")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """As it was."""
        if value is None or dialect.name != "postgresql" or "\\" not in value:
            return value
        return re.sub(r"\\([\\0])", lambda found: "\0" if found[1] == "0" else "\\", value)
