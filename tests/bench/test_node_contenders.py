"""The Node contenders, as far as it can be told without their packages: what is pinned, and that each file parses."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import PATIENCE

FOLDER = Path(__file__).parents[2] / "bench" / "contenders" / "node"
CONTENDERS: list[dict[str, Any]] = json.loads((FOLDER / "contenders.json").read_text())
BY_ID = {contender["id"]: contender for contender in CONTENDERS}
MODULES = sorted(FOLDER.glob("*.mjs"))
PACKAGE = json.loads((FOLDER / "package.json").read_text())
LOCK = json.loads((FOLDER / "package-lock.json").read_text())
IMPORTED = re.compile(r"^import .* from '((?:@[^/']+/)?[^/'.:]+)['/]", re.MULTILINE)


def imports(module: Path) -> set[str]:
    """The packages that `module` imports; Node's own go by ``node:``, this folder's by ``./``."""
    return set(IMPORTED.findall(module.read_text()))


def test_versions_are_exact_and_the_lock_has_them() -> None:
    """Each package is asked for in one version, which is the version that is locked."""
    asked = PACKAGE["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in asked.values())
    assert LOCK["packages"][""]["dependencies"] == asked
    assert {name: LOCK["packages"][f"node_modules/{name}"]["version"] for name in asked} == asked


def test_the_lock_names_no_registry_but_every_hash() -> None:
    """Nothing in the lock says where a package is fetched from, and everything says what must be in it."""
    packages = {path: package for path, package in LOCK["packages"].items() if path}
    assert [path for path, package in packages.items() if "resolved" in package] == []
    assert [path for path, package in packages.items() if not package["integrity"].startswith("sha512-")] == []


def test_no_package_runs_anything_when_it_is_installed() -> None:
    """Install scripts are off, and none is missed."""
    assert "ignore-scripts=true" in (FOLDER / ".npmrc").read_text().splitlines()
    assert [path for path, package in LOCK["packages"].items() if package.get("hasInstallScript")] == []


def test_what_is_imported_is_what_is_asked_for() -> None:
    """No module needs a package that happens to come with another, and none is installed for nothing."""
    ours = set[str]().union(*(imports(module) for module in MODULES))
    assert ours == set(PACKAGE["dependencies"])


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_each_module_parses(module: Path) -> None:
    """Node understands the file."""
    checked = subprocess.run(["node", "--check", module], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", BY_ID)
def test_each_contender_can_be_started_and_compared(name: str) -> None:
    """Its file is there, its ceiling is a contender without authentication, and its configuration has a source."""
    contender = BY_ID[name]
    program, file, *_ = contender["command"]
    assert program == "node"
    assert FOLDER / file in MODULES
    assert contender["label"]
    assert contender["documentation"]
    if contender["kind"] == "none":
        assert contender["bare"] is None
    else:
        assert contender["kind"] in {"session", "jwt"}
        assert BY_ID[contender["bare"]]["kind"] == "none"


def test_names_are_unique_and_no_module_is_forgotten() -> None:
    """Each contender has an id and a label of its own, and each module is a contender or one of the two helpers."""
    assert len(BY_ID) == len({contender["label"] for contender in CONTENDERS}) == len(CONTENDERS)
    started = {contender["command"][1] for contender in CONTENDERS}
    assert {module.name for module in MODULES} - started == {"contender.mjs", "first_sight.mjs"}
