"""The page of the usual tasks: what is only to be read there is right as well."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import ROOT, blocks_of
from tests.support.service import running_service

PAGE = ROOT / "docs" / "tasks.md"


def block(name: str) -> str:
    (found,) = [block.text for block in blocks_of(PAGE) if block.name == name]
    return found


def commands() -> dict[str, list[str]]:
    """What the container and the unit start, without the program."""
    container = json.loads(re.findall(r"^CMD (.*)$", block("Dockerfile"), re.M)[-1])
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # systemd's names have capitals
    unit.read_string(block("coatcheck.service"))
    started = unit["Service"]["ExecStart"].split()
    assert started[0].endswith("/bin/coatcheck")
    assert unit["Service"]["WorkingDirectory"] == f"/var/lib/{unit['Service']['StateDirectory']}"
    assert unit["Service"]["RestartPreventExitStatus"] == "2"
    return {"container": container[1:], "unit": started[1:]}


@pytest.mark.parametrize("name", ["container", "unit"])
def test_what_is_started(name: str, tmp_path: Path) -> None:
    """The service starts so, keeps everything in the working directory, is healthy, and ends when it is told to."""
    command, *arguments = commands()[name]
    assert command == "serve"
    here = [argument.replace("0.0.0.0", "127.0.0.1") for argument in arguments]  # the tests have no other network
    with running_service(tmp_path, arguments=here) as service:
        assert httpx.get(f"{service.base_url}/healthz").status_code == 200
        kept = {file.name for file in tmp_path.iterdir()}
        assert {"coatcheck.db", "coatcheck.db.secret"} <= kept


def test_the_health_check() -> None:
    """It asks the port that is exposed, for what is there."""
    [check] = re.findall(r"^HEALTHCHECK CMD (.*)$", block("Dockerfile"), re.M)
    [port] = re.findall(r"^EXPOSE (\d+)$", block("Dockerfile"), re.M)
    assert f"http://127.0.0.1:{port}/healthz" in json.loads(check)[-1]
    compile(json.loads(check)[-1], "check", "exec")
