"""Figures of several processes in one directory: added up, kept when a process ends, and never told less of."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.events import Act, Events
from coatcheck.web.figures import Figures, Gauges, decode, encode, together
from coatcheck.web.member import Member
from coatcheck.web.metrics import DIRECTORY, Counts, counts_of
from coatcheck.web.multiprocess import Directory
from tests.support.service import PATIENCE, environment, eventually

ACT = Act("thing.done", "a thing was done")
ANSWER = ("GET", "/session", "200")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "metrics"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def members(path: Path) -> Iterator[Callable[..., Member]]:
    """Makes processes, as others see them, that have written these figures."""
    made: list[Member] = []

    def make(answers: int = 0, gauges: Gauges | None = None) -> Member:
        figures = Figures(gauges=gauges)
        figures.answers[ANSWER] = answers
        figures.events["thing.done"] = answers
        made.append(Member(Directory(path), lambda: figures))
        made[-1].is_started = True
        made[-1].write()
        return made[-1]

    yield make
    for one in made:
        one.end()


def gauges(**values: float) -> Gauges:
    usual = {"lease": 1.5, "writes_taken": True, "entries": 1, "bytes": 100, "max_staleness": 2.0, "at": 1000.0}
    return Gauges(**(usual | values))  # type: ignore[arg-type]


def answers(path: Path) -> int:
    return Directory(path).total().answers[ANSWER]


def names(path: Path) -> list[str]:
    return sorted(re.sub(r"[0-9a-f]{16}", "TOKEN", file.name) for file in path.iterdir())


def test_gauges_together() -> None:
    """Memory is added up, and of all else the worst is told."""
    one = gauges(lease=0.5, entries=3, bytes=300)
    other = gauges(writes_taken=False, entries=4, bytes=500, max_staleness=4.0)
    told = together([one, other], 1001.0)
    assert told == gauges(lease=0.5, writes_taken=False, entries=7, bytes=800, max_staleness=4.0, at=1001.0)
    assert together([], 1.0) is None


def test_a_process_that_stands_still_has_no_lease() -> None:
    """It has not written for much longer than it does, so nobody knows what it would trust."""
    told = together([gauges(), gauges(at=1006.0)], 1006.0)
    assert told is not None
    assert (told.lease, told.entries) == (0.0, 2)


def test_added_up(path: Path, members: Callable[..., Member]) -> None:
    """Counters and gauges of all, whoever is asked."""
    members(2, gauges(at=1e12))
    members(5, gauges(at=1e12, lease=0.25))
    total = Directory(path).total()
    assert (total.answers[ANSWER], total.events["thing.done"]) == (7, 7)
    assert total.gauges is not None
    assert (total.gauges.entries, total.gauges.lease) == (2, 0.25)


def test_of_whom_has_ended_the_counts_stay_and_the_gauges_go(path: Path, members: Callable[..., Member]) -> None:
    """And its files go too, so that they do not become more with every process that ever was."""
    members(2, gauges(at=1e12))
    for _ in range(20):
        members(5, gauges(at=1e12)).end()
    for _ in range(3):
        total = Directory(path).total()
        assert total.answers[ANSWER] == 102
        assert total.gauges is not None
        assert total.gauges.entries == 1
    assert names(path) == [
        "coatcheck-TOKEN.json", "coatcheck-TOKEN.process", "coatcheck-ended.json", "coatcheck-ended.lock"
    ]  # fmt: skip


def test_what_an_earlier_run_has_left_counts_on(path: Path, members: Callable[..., Member]) -> None:
    """A service that was restarted, in a directory that nobody cleared, is told as if it had gone on."""
    members(5, gauges(at=1e12)).end()
    total = Directory(path).total()
    assert (total.answers[ANSWER], total.gauges) == (5, None)
    members(1)
    assert answers(path) == 6


@pytest.mark.parametrize("restored", ["*.process", "*.json", "*"])
def test_whoever_dies_while_it_moves_counts_makes_nothing_count_twice(
    path: Path, members: Callable[..., Member], restored: str
) -> None:
    """Files that it should still have deleted are not counted, and deleted later."""
    members(5).end()
    before = path.with_name("before")
    shutil.copytree(path, before)
    assert answers(path) == 5
    for file in before.glob(f"coatcheck-*{restored.removeprefix('*')}"):
        shutil.copy(file, path)
    assert answers(path) == 5
    members(1).end()
    assert answers(path) == 6
    assert [name for name in names(path) if name.endswith(".process")] == []
    assert answers(path) == 6


def test_a_cleared_directory_is_filled_again(path: Path, members: Callable[..., Member]) -> None:
    """With all that was counted, also where somebody deletes files of processes that live."""
    member = members(5)
    for file in path.iterdir():
        file.unlink()
    member.write()
    assert answers(path) == 5
    next(path.glob("*.process")).unlink()
    member.write()
    assert answers(path) == 5


BROKEN = {
    "nothing": b"",
    "half of it": encode(Figures(gauges=gauges()))[:-20],
    "no JSON": b"\xff\x00",
    "no object": b"[1]",
    "very deep": b"[" * 100_000,
    "another format": encode(Figures()).replace(b'"format":1', b'"format":2'),
    "a count below zero": b'{"format":1,"answers":[],"events":[["a.b",-1]],"gauges":null,"absorbed":[]}',
    "a count of text": b'{"format":1,"answers":[],"events":[["a.b","1"]],"gauges":null,"absorbed":[]}',
    "a huge count": b'{"format":1,"answers":[],"events":[["a.b",1e400]],"gauges":null,"absorbed":[]}',
    "half a character": b'{"format":1,"answers":[],"events":[["\\ud800",1]],"gauges":null,"absorbed":[]}',
    "other gauges": b'{"format":1,"answers":[],"events":[],"gauges":{"lease":NaN},"absorbed":[]}',
    "too much": encode(Figures()) + b" " * (5 * 1024 * 1024),
}


@pytest.mark.parametrize("name", ["coatcheck-0123456789abcdef.json", "coatcheck-ended.json"])
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_left_out(
    path: Path, members: Callable[..., Member], name: str, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once in the log, and left as it is; all others count."""
    members(5)
    members(1).end()
    (path / "coatcheck-0123456789abcdef.process").touch()
    (path / name).write_bytes(text)
    directory = Directory(path)
    with caplog.at_level(logging.WARNING, "coatcheck.metrics"):
        for _ in range(3):
            assert directory.total().answers[ANSWER] == 6
    assert len([record for record in caplog.records if name in record.getMessage()]) == 1
    assert (path / name).read_bytes() == text


@pytest.mark.parametrize("end", ["process", "json"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_is_no_file_is_left_out(path: Path, members: Callable[..., Member], end: str, kind: str) -> None:
    """Nobody waits for a pipe or follows a link."""
    members(5)
    (path / "coatcheck-0123456789abcdef.process").touch()
    place = path / f"coatcheck-0123456789abcdef.{end}"
    place.unlink(missing_ok=True)
    make = {"pipe": os.mkfifo, "folder": os.mkdir, "link": lambda name: os.symlink(next(path.glob("*.json")), name)}
    make[kind](place)
    assert answers(path) == 5


def test_beside_prometheus_client(path: Path, members: Callable[..., Member]) -> None:
    """Its files and ours share the directory, and neither is read for the other."""
    program = "from prometheus_client import Counter; Counter('own', 'an own counter').inc(3)"
    variables = environment({DIRECTORY: str(path)})
    subprocess.run([sys.executable, "-c", program], env=variables, check=True, timeout=PATIENCE)
    members(5)
    members(1).end()
    assert answers(path) == 6
    assert list(path.glob("*.db"))
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(path))
    assert registry.get_sample_value("own_total") == 3
    assert {family.name for family in registry.collect()} == {"own"}


def test_only_this_user_reads_them(path: Path, members: Callable[..., Member]) -> None:
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        members(5)
        members(1).end()
        answers(path)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o600}


def test_never_less(path: Path) -> None:
    """Whoever reads while processes count, end and begin is never told less than before; at the end, all of it."""
    told: list[list[int]] = [[], []]
    done = threading.Event()

    def read(into: list[int]) -> None:
        directory = Directory(path)
        while not done.is_set():
            into.append(directory.total().answers[ANSWER])

    def count() -> None:
        for _ in range(15):
            figures = Figures()
            member = Member(Directory(path), lambda figures=figures: decode(encode(figures))[0])  # type: ignore[misc]
            member.is_started = True
            for _ in range(10):
                figures.answers[ANSWER] += 1
                member.write()
            member.end()

    readers = [threading.Thread(target=read, args=(into,)) for into in told]
    counting = [threading.Thread(target=count) for _ in range(3)]
    for thread in (*readers, *counting):
        thread.start()
    for thread in counting:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    for into in told:
        assert into == sorted(into)
    assert answers(path) == 450


def refused(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Directory(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_directory_that_cannot_be_used_is_refused(path: Path) -> None:
    """At once, and with what to do."""
    assert "No such file or directory" in refused(path / "nowhere")
    (path / "file").touch()
    assert "is no directory" in refused(path / "file")
    for mode in (0o755, 0o710, 0o701, 0o770, 0o1777):
        path.chmod(mode)
        assert f"chmod 700 {path}" in refused(path)
    path.chmod(0o700)
    Directory(path)
    assert names(path) == ["file"]


def test_a_directory_that_cannot_be_written_is_refused() -> None:
    """Or that is another user's."""
    folder = Path(mkdtemp(prefix="coatcheck-metrics-"))  # where another user can be let in
    try:
        is_root = os.geteuid() == 0
        if is_root:
            os.chown(folder, 12345, -1)
            assert "another user" in refused(folder)
            os.seteuid(12345)
        try:
            folder.chmod(0o500)
            assert "Permission denied" in refused(folder)
        finally:
            if is_root:
                os.seteuid(0)
    finally:
        shutil.rmtree(folder)


def test_the_variable_names_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be used is refused when the service is made, and without it nothing is shared."""
    assert not counts_of(Events(lambda: 0.0)).is_shared
    monkeypatch.setenv(DIRECTORY, "")
    assert not counts_of(Events(lambda: 0.0)).is_shared
    monkeypatch.setenv(DIRECTORY, str(path))
    assert counts_of(Events(lambda: 0.0)).is_shared
    monkeypatch.setenv(DIRECTORY, str(path / "nowhere"))
    with pytest.raises(ConfigurationError):
        counts_of(Events(lambda: 0.0))


def test_one_stream_is_counted_once() -> None:
    """However often the service is made for it, as it is again after a fork."""
    events = Events(lambda: 0.0)
    counts = [counts_of(events) for _ in range(3)]
    events.emit(ACT)
    assert counts[0].told().events["thing.done"] == 1
    assert counts[0] is counts[2]


def test_a_directory_that_goes_is_unavailable(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Figures of one process alone would be less than what was told before."""
    counts = Counts(Directory(path))
    counts.answers[ANSWER] += 1
    counts.take_part()
    assert counts.told().answers[ANSWER] == 1
    shutil.rmtree(path)
    with caplog.at_level(logging.WARNING, "coatcheck.metrics"), pytest.raises(StoreUnavailable):
        counts.told()
    path.mkdir(mode=0o700)
    assert counts.told().answers[ANSWER] == 1


def test_whoever_is_forgotten_stays_counted(path: Path) -> None:
    """What was counted in an application that nobody holds any more is written at once, and its thread ends."""
    before = set(threading.enumerate())
    counts = Counts(Directory(path))
    counts.answers[ANSWER] += 1
    counts.take_part()
    counts.told()
    counts.answers[ANSWER] += 1
    counts.take_part()
    assert set(threading.enumerate()) - before
    del counts
    assert answers(path) == 2
    eventually(lambda: set(threading.enumerate()) <= before, what="its thread ends")


_FORKS = """
import os, sys
from pathlib import Path
from coatcheck.events import Act, Events
from coatcheck.web.metrics import counts_of

ACT = Act("thing.done", "a thing was done")
folder = Path(sys.argv[1])
events = Events(lambda: 0.0)
counts = counts_of(events, folder)
if sys.argv[2] != "before":
    for _ in range(10):
        events.emit(ACT)
    assert counts.told().events["thing.done"] == 10
files = {file: file.read_bytes() for file in folder.iterdir()}
child = os.fork()
if child == 0:
    counts.answers["GET", "", "200"] += 1
    assert {file: file.read_bytes() for file in folder.iterdir()} == files
    for _ in range(100):
        events.emit(ACT)
    grandchild = os.fork()
    if grandchild == 0:
        for _ in range(1000):
            events.emit(ACT)
        sys.exit(0)
    assert os.waitpid(grandchild, 0)[1] == 0
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
for file, text in files.items():
    assert file.read_bytes() == text, "somebody else has written it"
events.emit(ACT)
assert dict(counts.told().answers) == {("GET", "", "200"): 1}
print(counts.told().events["thing.done"])
"""


@pytest.mark.parametrize(("when", "sum_"), [("before", 1101), ("after", 1111)])
def test_a_forked_child_counts_for_itself(path: Path, when: str, sum_: int) -> None:
    """It writes nothing of its parent's and counts nothing twice, whether it was forked before or after that began."""
    ran = subprocess.run(
        [sys.executable, "-c", _FORKS, str(path), when],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) == sum_
    assert Directory(path).total().events["thing.done"] == sum_


_FORKS_IN_C = """
import ctypes, os, sys
from pathlib import Path
from coatcheck.events import Act, Events
from coatcheck.web.metrics import counts_of

ACT = Act("thing.done", "a thing was done")
events = Events(lambda: 0.0)
counts = counts_of(events, Path(sys.argv[1]))
for _ in range(10):
    events.emit(ACT)
assert counts.told().events["thing.done"] == 10
child = ctypes.PyDLL(None).fork()
if child == 0:
    for _ in range(100):
        events.emit(ACT)
    assert counts.told().events["thing.done"] == 110
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
events.emit(ACT)
print(counts.told().events["thing.done"])
"""


def test_a_fork_of_which_nobody_tells(path: Path) -> None:
    """As servers written in C make it: the child finds out by itself."""
    ran = subprocess.run(
        [sys.executable, "-c", _FORKS_IN_C, str(path)],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "111\n"), ran.stderr


_HELD = """
import os, signal, sys
from pathlib import Path
from coatcheck.events import Events
from coatcheck.web.figures import Figures, Gauges
from coatcheck.web.member import Member
from coatcheck.web.multiprocess import Directory

gauges = Gauges(lease=1.5, writes_taken=True, entries=1, bytes=1, max_staleness=2.0, at=1e12)
directory = Directory(Path(sys.argv[1]))
member = Member(directory, lambda: Figures(gauges=gauges))
member.start()
while not list(Path(sys.argv[1]).glob("*.json")):
    pass
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, b"x")
    signal.pause()
os.read(read, 1)
os.close(write)
print("forked", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_child_keeps_no_dead_parent_alive(path: Path) -> None:
    """A process that was killed is dead for all, also while what it has forked lives on."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HELD, str(path)], env=environment(), stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"forked\n"
        assert process.wait(PATIENCE) < 0
        assert Directory(path).total().gauges is None
    finally:
        os.killpg(process.pid, 9)
        process.communicate(timeout=PATIENCE)
