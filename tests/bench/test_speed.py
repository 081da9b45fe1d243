"""The harness of bench/speed: how it computes, what it tells, and that it counts nobody who lets the wrong ones in.
The figures themselves depend on the machine."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.speed import http, report, targets
from bench.speed.contenders import Contender, Running, changed, listed, running
from bench.speed.load import Failed, Load, load, processor_seconds, read, together
from bench.speed.pairs import shares
from bench.speed.targets import Found, Outcome, Row, ShareOfBare, Target, Times, evaluated

PYTHON = {each.id: each for each in listed(python=sys.executable) if each.folder.name == "python"}


def made_load(requests: int, seconds: float, processor: float, p99: int = 100) -> Load:
    return Load(requests, seconds, processor, other_core_busy=0.5, p50_us=10, p99_us=p99)


# --- arithmetic --------------------------------------------------------------------------------------------


def test_loads_add_up() -> None:
    """Two loads together are all requests in all seconds, with the worse tail."""
    both = together([made_load(1000, 1.0, 0.5, 100), made_load(3000, 3.0, 0.5, 900)])
    assert (both.per_second, both.per_processor_second, both.p99_us) == (1000, 4000, 900)


def test_shares() -> None:
    """A guarded application at 800 of 1,000 requests per second with as much processor time has a share of 80 %."""
    found = shares([(made_load(1000, 1.0, 0.1), made_load(800, 1.0, 0.1))])
    assert found["throughput"] == [0.8]
    assert found["processor"] == [0.8]
    assert found["added_us"] == [25.0]
    assert found["bare_per_second"] == [1000]


def test_every_round_begins_elsewhere() -> None:
    """Nobody is always the first, and a round has everybody once."""
    orders = [http.rotated(["a", "b", "c", "d"], number, 4) for number in range(4)]
    assert [order[0] for order in orders] == ["a", "b", "c", "d"]
    assert all(sorted(order) == ["a", "b", "c", "d"] for order in orders)


def test_what_wrk_counted() -> None:
    """The line of the script is found in what wrk prints, and nothing is made up where there is none."""
    assert read('Running 1s test\n\nCOUNTED {"requests": 7, "refused": 0}\n') == {"requests": 7, "refused": 0}
    assert read("unable to connect") is None


# --- targets -----------------------------------------------------------------------------------------------


def contender(rates: list[float], **more: Any) -> dict[str, Any]:
    return {
        "label": "one", "kind": "session", "bare": None, "documentation": "a page", "versions": {"thing": "1"},
        "requests_per_second": rates, "processor_us_per_request": [1e6 / rate for rate in rates],
        "server_busy": [1.0 for _ in rates], "other_core_busy": [0.5 for _ in rates],
        "p50_us": [100 for _ in rates], "p99_us": [2000 for _ in rates],
    } | more  # fmt: skip


def parts(**found: Any) -> dict[str, Any]:
    return {"http": {"contenders": found, "failed": {}, "method": {}}}


def target(*compared: targets.Comparison, bound: float = 3.0, at_least: bool = True) -> Target:
    return Target("a name", "what is said", bound, compared, "x", at_least)


def outcome(one: Target, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Outcome:
    monkeypatch.setattr(targets, "TARGETS", (one,))
    (found,) = evaluated(data)
    return found


def test_rounds_are_compared_with_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that slows down meets both: the ratio is that of each round, not that of the medians."""
    data = parts(ours=contender([400.0, 40.0, 4.0]), theirs=contender([100.0, 10.0, 1.0]))
    found = outcome(target(Times("ours", "theirs")), data, monkeypatch)
    assert found.rows[0].values == [4.0, 4.0, 4.0]
    assert found.verdict == "met"


def test_missed_and_by_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row below the bound misses the target, and the report says by which part of the bound."""
    data = parts(ours=contender([400.0]), a=contender([100.0]), b=contender([200.0]))
    one = target(Times("ours", "a"), Times("ours", "b"), bound=2.5)
    found = outcome(one, data, monkeypatch)
    assert found.verdict == "missed"
    assert [report.verdict(one, row) for row in found.rows] == ["met", "missed by 20.0%"]


def test_upper_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What must not be exceeded is met below the bound."""
    one = target(Found("hit", lambda data: [Row("a", data)]), bound=0.01, at_least=False)
    assert outcome(one, {"hit": [0.005, 0.009, 0.5]}, monkeypatch).verdict == "met"
    assert outcome(one, {"hit": [0.02]}, monkeypatch).verdict == "missed"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, "part http did not run"),
        ({"http": {"error": "Failed: no wrk"}}, "part http: Failed: no wrk"),
        (parts(ours=contender([1.0])), "no contender theirs was measured"),
        (
            {"http": {"contenders": {"ours": contender([1.0])}, "failed": {"theirs": "it did not start"}}},
            "theirs failed: it did not start",
        ),
    ],
)
def test_what_is_absent_is_not_met(data: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target whose data is absent is neither met nor missed, and says why."""
    found = outcome(target(Times("ours", "theirs")), data, monkeypatch)
    assert (found.verdict, list(found.missing)) == ("not measured", [reason])


def test_half_a_target_is_not_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one comparison is absent, the others being met does not make the target met."""
    data = parts(ours=contender([4.0]), theirs=contender([1.0]))
    found = outcome(target(Times("ours", "theirs"), ShareOfBare("absent")), data, monkeypatch)
    assert found.verdict == "not measured"
    assert len(found.rows) == 1


def test_data_of_another_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that gives something else than expected is said to, and the others are evaluated all the same."""
    one = target(Found("hit", lambda data: [Row("a", data["modes"]["jwt"])]))
    assert "gave other data than expected" in outcome(one, {"hit": {}}, monkeypatch).missing[0]


def test_every_pattern_names_somebody() -> None:
    """Each target compares contenders that are on the lists."""
    known = {name: contender([1.0], share_of_bare={"throughput": [1.0], "processor": [1.0], "added_us": [0.0]})
             for name in (each.id for each in listed(python=sys.executable))}  # fmt: skip
    for each in targets.TARGETS:
        for one in each.compared:
            if one.patterns:
                assert one.rows(parts(**known)), each.name


# --- what is told ------------------------------------------------------------------------------------------


def test_page() -> None:
    """The page tells every contender's median and spread, the shares, who failed, and each target."""
    share = {"throughput": [0.9, 1.0], "processor": [0.95, 0.97], "added_us": [1.0, 2.0], "bare_per_second": [1100.0]}
    machine = dict.fromkeys(
        ("coatcheck", "commit", "cores", "processor", "memory_gb", "kernel", "python", "node", "redis", "wrk",
         "load_average_before"), "?"
    )  # fmt: skip
    method = {"connections": 32, "users": 1000, "rounds": 2, "seconds_per_load": 1, "idle_servers_busy": 0.01}
    run = {
        "machine": machine | {"date": "2026-01-02T03:04:05+00:00"},
        "parts": {
            "http": {
                "method": method, "failed": {"absent": "it did not start: no such file"},
                "contenders": {"coatcheck-asgi-session": contender([1000.0, 3000.0], share_of_bare=share)},
            },
            "tail": {"error": "Missing: wrk"},
        },
    }  # fmt: skip
    text = report.page(run, evaluated(run["parts"]), {"hit": "a table"})
    assert "| **one** | 2,000 (1,000 to 3,000) |" in text
    assert "| one | 1,100 | 95.0% (90.0% to 100.0%) | 96.0% (95.0% to 97.0%) | 1.5 (1.0 to 2.0) |" in text
    assert "- absent: it did not start: no such file" in text
    assert "Part tail was not measured: Missing: wrk" in text
    assert "missed by 2.1%" in text
    assert "```text\na table\n```" in text


def test_json_is_compact(tmp_path: Path) -> None:
    """Lists of numbers take a line each, and the data is what it was."""
    data = {"rounds": [1, 2.5, 3], "nested": [{"a": [1]}, {"a": []}], "text": "[ 1 ]"}
    report.write_json(data, tmp_path / "speed.json")
    text = tmp_path.joinpath("speed.json").read_text()
    assert '"rounds": [1, 2.5, 3]' in text
    assert json.loads(text) == data


# --- contenders --------------------------------------------------------------------------------------------


def test_lists(tmp_path: Path) -> None:
    """Contenders of all folders are found; an id that stands twice and a list that cannot be read are refused."""
    line = {"id": "a", "label": "A", "kind": "none", "command": ["{python}", "a.py"], "bare": None}
    for folder in ("one", "two"):
        tmp_path.joinpath(folder).mkdir()
    tmp_path.joinpath("one", "contenders.json").write_text(json.dumps([line]))
    (found,) = listed(tmp_path)
    assert found.command == (str(tmp_path / "one" / ".venv" / "bin" / "python"), "a.py")
    assert found.folder == tmp_path / "one"
    tmp_path.joinpath("two", "contenders.json").write_text(json.dumps([line]))
    with pytest.raises(Failed, match="two contenders are called a"):
        listed(tmp_path)
    tmp_path.joinpath("two", "contenders.json").write_text(json.dumps([line | {"id": "b", "kind": "magic"}]))
    with pytest.raises(Failed, match=r"two/contenders\.json cannot be read"):
        listed(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Bearer abcdefghijklmno.pqrstuvwxyz",
        "Cookie: one=abcdefghijklmnopqrstuvwxyz; two=ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "Cookie: one=%2Fabcdefghijkl%2F%2F%2F%2F%2F",
    ],
)
def test_changed_credentials(header: str) -> None:
    """Each credential of a changed header differs in one letter, and not in its syntax."""
    before, after = (text.replace("; ", ": ").split(": ") for text in (header, changed(header)))
    assert len(before) == len(after)
    assert before[0] == after[0]
    for one, other in zip(before[1:], after[1:], strict=True):
        assert sum(a != b for a, b in zip(one, other, strict=True)) == 1


def test_processor_time_of_another_process() -> None:
    """It is that of all threads, and grows with work; a process that has ended is named."""
    before = processor_seconds(os.getpid())
    sum(range(100_000))
    assert processor_seconds(os.getpid()) > before
    with pytest.raises(Failed, match="has ended"):
        processor_seconds(2**22 + 1)


def contender_of(folder: Path, code: str, kind: str = "session") -> Contender:
    folder.joinpath("server.py").write_text(code)
    return Contender("made-up", "Made up", kind, (sys.executable, "server.py"), folder)


OPEN_TO_ALL = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b'{"hello":"world","items":[1,2,3]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args): ...

server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
said = {"pid": os.getpid(), "headers": ["Cookie: a=0123456789abcdef", "Cookie: a=fedcba9876543210"], "versions": {}}
with open(os.environ["READY"] + ".part", "w") as file:
    json.dump(said, file)
os.rename(os.environ["READY"] + ".part", os.environ["READY"])
server.serve_forever()
"""


def test_who_lets_everybody_in_does_not_count(tmp_path: Path) -> None:
    """A contender that answers without a credential is named as failed: its figures would be of something else."""
    with running([contender_of(tmp_path, OPEN_TO_ALL)]) as (ready, failed):
        assert not ready
        assert failed == {"made-up": "request 1 of 3 was answered with 200, not 401"}


def test_who_does_not_start_is_named(tmp_path: Path) -> None:
    """With the last line that it wrote; the others are measured all the same."""
    broken = contender_of(tmp_path, "import sys\nsys.exit('no such\\nlibrary')")
    with running([broken, PYTHON["asgi"]], users=2) as (ready, failed):
        assert failed == {"made-up": "it did not start: library"}
        assert list(ready) == ["asgi"]


def test_real_contenders() -> None:
    """Coatcheck and the bare server are started, checked, loaded and compared; whoever changes a credential fails."""
    wanted = [PYTHON["asgi"], PYTHON["coatcheck-asgi-session"]]
    plan = http.Plan(rounds=1, users=5, seconds_in_all=60.0, order="ab")
    data = http.run(quick=True, contenders=wanted, plan=plan)
    assert data["failed"] == {}
    ours = data["contenders"]["coatcheck-asgi-session"]
    assert ours["requests_per_second"][0] > 0
    assert ours["share_of_bare"]["throughput"][0] > 0
    assert "share_of_bare" not in data["contenders"]["asgi"]
    assert "raw ASGI + Coatcheck, session" in http.table(data)


def test_a_refused_load_is_an_error(tmp_path: Path) -> None:
    """Requests that are refused under load are no throughput."""
    with running([PYTHON["coatcheck-asgi-session"]], users=2) as (ready, failed):
        assert failed == {}
        made: Running = ready["coatcheck-asgi-session"]
        nobody = tmp_path / "headers"
        nobody.write_text("Cookie: coatcheck=nobody\n")
        with pytest.raises(Failed, match="were refused"):
            load(made.url, nobody, made.pid)
