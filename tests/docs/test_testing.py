"""The page on testing: it tests what the other pages have, and runs where only what it names is installed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import coatcheck
from tests.docs.pages import ROOT, blocks_of
from tests.support.kit import IS_INSTALLED, run_pytest
from tests.support.patience import PATIENCE

_PAGE = ROOT / "docs" / "testing.md"


def file_of(page: Path, name: str) -> str:
    """The first file of this name on a page."""
    return next(block.text for block in blocks_of(page) if block.name == name)


def test_the_readmes_program() -> None:
    """It begins with the README's own program."""
    assert file_of(_PAGE, "main.py") == file_of(ROOT / "README.md", "main.py")


@pytest.mark.parametrize("framework", ["starlette", "litestar", "flask", "django"])
def test_the_first_program_of_a_page(framework: str, tmp_path: Path) -> None:
    """The test that is shown for a framework passes beside the first program of its page, and leaves no database."""
    program = next(block for block in blocks_of(ROOT / "docs" / f"{framework}.md") if block.name)
    folder = f"with_{framework}/"
    tests = {block.name.removeprefix(folder): block.text for block in blocks_of(_PAGE) if block.name.startswith(folder)}
    done = run_pytest(tmp_path, {program.name: program.text, **tests})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "coatcheck: tests had throw-away databases in the place of " in done.stdout
    assert not list(tmp_path.glob("*.db*"))


def installed(requirements: Iterable[str], folder: Path) -> None:
    """A folder with what pip would install for these, and nothing else that is here."""
    folder.mkdir()
    wanted, seen = [Requirement(text) for text in requirements], set[str]()
    while wanted:
        requirement = wanted.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        found = distribution(requirement.name)
        for text in found.requires or ():
            needed = Requirement(text)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(needed)
        for name in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            link = folder / name
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(name))))


@pytest.mark.skipif(not IS_INSTALLED, reason="the installation does not name the plugin")
@pytest.mark.parametrize("name", ["test_main.py", "test_async.py"])
def test_as_pasted(name: str, tmp_path: Path) -> None:
    """In an empty folder, with what the page says to install and no settings of anybody's."""
    folder, packages = tmp_path / "empty", tmp_path / "packages"
    folder.mkdir()
    named = [block.text for block in blocks_of(_PAGE) if block.language == "sh" and "pip install" in block.text]
    needed = named if name == "test_async.py" else named[:1]
    installed([word for text in needed for word in shlex.split(text)[2:]], packages)
    for file in ("main.py", name):
        (folder / file).write_text(file_of(_PAGE, file))
    source = Path(coatcheck.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-P", "-S", "-m", "pytest", "-q", "-p", "no:cacheprovider", name],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{source}{os.pathsep}{packages}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == sorted(["main.py", name])
