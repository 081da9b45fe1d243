"""A protected route costs at most eight lines from an empty file, whatever the framework; `test_pages` runs them."""

from __future__ import annotations

import pytest

from tests.docs.pages import PAGES, ROOT, blocks_of

FRAMEWORKS = ["fastapi", "starlette", "litestar", "flask", "django"]
MOST = 8
"""Lines that are not empty."""


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_first_lines(name: str) -> None:
    """The page begins with a whole program of at most eight lines; what serves it, a refusal and a login follow."""
    page = ROOT / "docs" / f"{name}.md"
    assert page in PAGES
    blocks = blocks_of(page)
    first = blocks[0]
    assert first.language == "python"
    assert first.name.endswith(".py"), "a file, so that the page's next commands run it"
    assert len([line for line in first.text.splitlines() if line.strip()]) <= MOST
    assert blocks[1].language == "console", "nothing else has to be written before it runs"
    shown = "".join(block.text for block in blocks if block.language == "console").partition("/auth/login")
    assert "not_logged_in" in shown[0] or "401" in shown[0]
    assert shown[1], "the page logs somebody in"
