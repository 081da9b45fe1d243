"""`scripts/setup`: what it installs, when, and what it says when it cannot. Its tools are stand-ins that take notes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "scripts" / "setup"
USED = ("bash", "cat", "cp", "dirname", "env", "flock", "grep", "mkdir", "rm", "sed", "sha256sum")

PYTHON = """#!/bin/sh
case "$*" in
  "-m venv --clear "*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; echo "$PWD/$4" >"$4/bin/activate" ;;
  "-m pip install "*) echo "pip $*" >>"$NOTES"; [ -z "$PIP_FAILS" ] ;;
  --version) echo Python 3.11.7 ;;
esac
"""
NPM = """#!/bin/sh
echo "npm in $PWD: $*" >>"$NOTES"
rm -rf node_modules
mkdir node_modules
[ -z "$NPM_FAILS" ]
"""
VERSIONS = {"node": "v20.1.0", "redis-server": "Redis server v=7.0.15 sha=0"}


class Checkout:
    """A folder with what `scripts/setup` looks at, and a PATH on which nothing else is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.programs = folder / "programs"
        self.notes = folder / "notes"
        self.programs.mkdir()
        for name in USED:
            found = shutil.which(name)
            assert found is not None, f"{name} is missing"
            self.programs.joinpath(name).symlink_to(found)
        wanted = "chromium node wrk curl redis-server initdb pgbouncer cc sqlite3 nginx"
        for name in wanted.split():
            self.program(name, f"#!/bin/sh\necho '{VERSIONS.get(name, '')}'\n")
        self.program("python3", PYTHON)
        self.program("npm", NPM)
        names = ["pyproject.toml", *(f"requirements/{name}.txt" for name in ("runtime", "build", "dev"))]
        names += ["bench/contenders/python/requirements.txt", "bench/contenders/node/package-lock.json"]
        for name in [*names, "bench/contenders/node/.npmrc"]:
            self.write(name, "one\n")
        self.write("bench/contenders/node/package.json", '{"engines": {\n  "node": ">=20"\n}}\n')
        self.folder.joinpath("scripts").mkdir()
        shutil.copy(SETUP, self.folder / "scripts" / "setup")

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def setup(self, level: str, **environment: str) -> tuple[int, str]:
        """The status, and what it said."""
        clean = {"PATH": str(self.programs), "NOTES": str(self.notes), "HOME": str(self.folder)}
        ended = subprocess.run(
            [self.folder / "scripts" / "setup", level], env=clean | environment, capture_output=True, text=True
        )
        return ended.returncode, ended.stderr

    def noted(self) -> list[str]:
        """What was installed since the last call: the requirements, ``coatcheck`` or ``npm``."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        self.notes.unlink(missing_ok=True)
        return [_installed(line) for line in lines]


def _installed(line: str) -> str:
    if line.startswith("npm in "):
        assert "bench/contenders/node: ci --ignore-scripts" in line
        return "npm"
    assert "--no-deps" in line
    if line.endswith(" -e ."):
        return "coatcheck"
    assert "--require-hashes" in line
    return line.rpartition(" ")[2]


PINNED = "bench/contenders/python/requirements.txt"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_levels(checkout: Checkout) -> None:
    """Each level has what it needs and no more, all of it pinned by hash."""
    assert checkout.setup("runtime")[0] == 0
    assert checkout.noted() == ["requirements/runtime.txt", "requirements/build.txt", "coatcheck"]
    assert checkout.setup("dev")[0] == 0
    assert checkout.noted() == ["requirements/dev.txt", "coatcheck"]
    assert checkout.setup("bench")[0] == 0
    assert checkout.noted() == [PINNED, "npm"]
    assert checkout.setup("all")[0] == 1


@pytest.mark.parametrize("level", ["runtime", "dev", "bench"])
def test_again(checkout: Checkout, level: str) -> None:
    """What is done already is not done again, and a higher level has the lower ones."""
    assert checkout.setup("bench")[0] == 0
    assert checkout.noted() == ["requirements/dev.txt", "coatcheck", PINNED, "npm"]
    assert checkout.setup(level) == (0, "")
    assert checkout.noted() == []


@pytest.mark.parametrize(
    ("changed", "installed"),
    [
        (PINNED, [PINNED]),
        ("bench/contenders/node/package-lock.json", ["npm"]),
        ("requirements/dev.txt", ["requirements/dev.txt", "coatcheck"]),
    ],
)
def test_a_change_is_installed(checkout: Checkout, changed: str, installed: list[str]) -> None:
    """A lock that has changed is installed anew, and nothing else is."""
    checkout.setup("bench")
    checkout.noted()
    checkout.write(changed, "two\n")
    assert checkout.setup("bench")[0] == 0
    assert checkout.noted() == installed


def test_without_npm(checkout: Checkout) -> None:
    """Who has no npm is told so, by name, and has everything else by then."""
    checkout.programs.joinpath("npm").unlink()
    status, said = checkout.setup("bench")
    assert status == 1
    assert "missing: npm" in said
    assert checkout.noted() == ["requirements/dev.txt", "coatcheck", PINNED]


def test_an_old_node(checkout: Checkout) -> None:
    """The contenders ask for a newer node than the tests do, and say which."""
    checkout.program("node", "#!/bin/sh\necho v18.20.0\n")
    assert checkout.setup("dev")[0] == 0
    status, said = checkout.setup("bench")
    assert status == 1
    assert "need node 20" in said
    assert "v18.20.0" in said


@pytest.mark.parametrize(
    ("failing", "named"),
    [("PIP_FAILS", "requirements/dev.txt"), ("NPM_FAILS", "bench/contenders/node/package-lock.json")],
)
def test_without_network(checkout: Checkout, failing: str, named: str) -> None:
    """What could not be installed is named, together with what that needs; the next attempt tries again."""
    status, said = checkout.setup("bench", **{failing: "yes"})
    assert status == 1
    assert f"could not install {named}" in said
    assert "It needs the network" in said
    checkout.noted()
    assert checkout.setup("bench")[0] == 0
    assert "npm" in checkout.noted()


def test_half_an_installation(checkout: Checkout) -> None:
    """After one that failed, what was there before no longer counts as done, also when the locks are what they were."""
    checkout.setup("bench")
    for name in ("requirements/dev.txt", PINNED):
        checkout.write(name, "two\n")
        assert checkout.setup("bench", PIP_FAILS="yes")[0] == 1
        checkout.write(name, "one\n")
        checkout.noted()
        assert checkout.setup("bench")[0] == 0
        assert name in checkout.noted()


def test_a_moved_checkout(checkout: Checkout) -> None:
    """Environments that point to where the checkout was are made anew."""
    checkout.setup("bench")
    checkout.noted()
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("elsewhere"))
    status, said = checkout.setup("bench")
    assert status == 0
    assert "making .venv" in said
    assert "making bench/contenders/python/.venv" in said
    assert checkout.noted() == ["requirements/dev.txt", "coatcheck", PINNED, "npm"]


def test_a_python_that_is_none(checkout: Checkout) -> None:
    """PYTHON is not passed over when it does not work."""
    status, said = checkout.setup("runtime", PYTHON=os.devnull)
    assert status == 1
    assert "is not a working Python 3.11" in said
