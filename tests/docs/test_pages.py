"""Every page of the documentation and every example does what it says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.pages import EXAMPLES, PAGES, ROOT, PageRun


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are written, its Python executed, its commands run, and they print what it shows."""
    monkeypatch.chdir(tmp_path)
    with PageRun(tmp_path) as run:
        run.run(page)


@pytest.mark.parametrize("readme", EXAMPLES, ids=name_of)
def test_example(readme: Path, tmp_path: Path) -> None:
    """What its README says to type works, in a copy of its folder."""
    folder = tmp_path / "example"
    shutil.copytree(readme.parent, folder, ignore=shutil.ignore_patterns("__pycache__", "*.db*", "*.json", "jar"))
    with PageRun(folder) as run:
        run.run(readme)


def test_every_example_is_small() -> None:
    """Files of under 60 lines each, named in the list of examples."""
    listed = (ROOT / "examples" / "README.md").read_text("utf-8")
    assert len(EXAMPLES) == 8
    for readme in EXAMPLES:
        for file in readme.parent.glob("*.py"):
            assert len(file.read_text("utf-8").splitlines()) < 60
        assert f"({readme.parent.name}/README.md)" in listed
