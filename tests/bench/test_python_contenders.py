"""The Python contenders: what is pinned, and those that need no package but what the tests have are started."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from bench.speed.contenders import listed, running

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "bench" / "contenders" / "python"
CONTENDERS: list[dict[str, Any]] = json.loads((FOLDER / "contenders.json").read_text())
HELD_BACK = {"email-validator", "sqlalchemy"}
"""fastapi-users takes older ones only."""
HERE = (
    "flask", "starlette-sessions", "starlette-pyjwt-hs256", "litestar-sessions", "litestar-jwt",
    "coatcheck-asgi-jwt-cookie", "coatcheck-starlette-session", "coatcheck-fastapi-jwt",
    "coatcheck-litestar-jwt-cookie", "coatcheck-flask-session",
)  # fmt: skip


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.MULTILINE))


def test_versions_are_those_of_the_tests() -> None:
    """Coatcheck and its contenders run with the versions that it is tested with, but for two."""
    tested, measured = pins(ROOT / "requirements" / "dev.txt"), pins(FOLDER / "requirements.txt")
    both = tested.keys() & measured.keys()
    assert {"uvicorn", "uvloop", "httptools", "starlette", "fastapi", "litestar", "pyjwt", "redis", "gunicorn"} <= both
    assert {name for name in both if tested[name] != measured[name]} <= HELD_BACK


def test_everything_is_pinned_by_hash() -> None:
    """Each package has one version, and a hash of every file that may be installed for it."""
    blocks = re.split(r"^(?=[a-z0-9-]+==)", (FOLDER / "requirements.txt").read_text(), flags=re.MULTILINE)[1:]
    assert len(blocks) > 50
    assert [block.split("\n")[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_list() -> None:
    """What a contender names exists, and its ceiling is a contender without authentication."""
    kinds = {contender["id"]: contender["kind"] for contender in CONTENDERS}
    for contender in CONTENDERS:
        scripts = [word for word in contender["command"] if word.endswith(".py")]
        assert all((FOLDER / script).exists() for script in scripts)
        assert (contender["bare"] is None) == (contender["kind"] == "none")
        assert contender["bare"] is None or kinds[contender["bare"]] == "none"


def test_who_is_let_in() -> None:
    """Everybody with a credential and nobody else; Coatcheck's bare server, in its process, lets in all."""
    contenders = [each for each in listed(python=sys.executable) if each.id in HERE]
    with running(contenders, users=3) as (ready, failed):
        assert failed == {}
        assert sorted(ready) == sorted(HERE)
        assert {name for name, made in ready.items() if made.bare_url} == {name for name in HERE if "coatcheck" in name}
