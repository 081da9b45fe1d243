"""The least-privilege user of docs/redis.md, as a line of ``redis.conf``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

USER: Final = "coatcheck"
PASSWORD: Final = "odd:signs/in@a%password"
QUOTED: Final = quote(PASSWORD, safe="")
_PAGE: Final = Path(__file__).parents[2] / "docs" / "redis.md"


def rules(keys: str) -> str:
    """The documented rule, with the prefix that the tests use."""
    found = re.search(r"^user coatcheck (.*)$", _PAGE.read_text("utf-8").replace("\\\n", " "), re.MULTILINE)
    assert found is not None
    rule = " ".join(found[1].split())
    return f"{USER} {rule}".replace("coatcheck:*", keys).replace(">PASSWORD", f">{PASSWORD}")
