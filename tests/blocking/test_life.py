"""Starting, ending, and what a caller gets from the loop."""

from __future__ import annotations

import asyncio
import gc
import inspect
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import coatcheck
from coatcheck import ApplicationSubjects, Mode, StoreUnavailable, SubjectFacts, background, bearer
from coatcheck.blocking import Auth, RemoteVerifier, life
from coatcheck.errors import ConfigurationError, InvalidCredential
from coatcheck.stores.memory import MemoryStore
from tests.support.gates import GatedStore
from tests.support.patience import SOON
from tests.support.service import eventually

from .support import SECRET, Gate, begin, script, stuck, threads, token_of


def made(store: Any = "memory://", **settings: Any) -> Auth:
    return Auth(store, secret=SECRET, **{"subjects": ApplicationSubjects(), **settings})


@pytest.fixture
def auth() -> Iterator[Auth]:
    with made() as running:
        yield running


@pytest.fixture(autouse=True)
def _begin() -> None:
    begin()


def test_making_it_starts_nothing() -> None:
    """No thread and no file before the first call."""
    before = threading.active_count()
    auth = made("sqlite:////nowhere/app.db")
    assert auth.known(b"anything") is None
    assert threading.active_count() == before


def test_the_first_call_starts_it() -> None:
    """Without `start` and without ``with``."""
    auth = made()
    assert auth.login("ann").session.subject == "ann"
    assert threads() == ["coatcheck"]
    auth.close()
    assert threads() == []


def test_what_cannot_start_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    """The error is raised in the caller; once the cause is mended the next call works."""
    auth = made(f"sqlite:///{tmp_path}/later/app.db")
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            auth.login("ann")
        assert threads() == []
    (tmp_path / "later").mkdir()
    with auth:
        assert auth.login("ann").session.subject == "ann"


def test_who_waits_for_a_start_that_fails_is_told_with_it() -> None:
    """A crowd does not try one after the other, each for as long as a store that is away takes."""
    gate = Gate()
    tries = []

    class Away(MemoryStore):
        async def open(self, *, migrate: bool = False) -> None:
            tries.append(None)
            await asyncio.to_thread(gate.hold)
            raise StoreUnavailable("away")

    auth = made(Away())
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(auth.start)
        gate.reached()
        waiting = [pool.submit(auth.login, "ann") for _ in range(7)]
        eventually(lambda: pool._work_queue.qsize() == 0, what="all stand in line")
        time.sleep(0.05)
        gate.open()
        errors = [call.exception(SOON) for call in (first, *waiting)]
    assert [str(error) for error in errors] == ["away"] * 8
    assert len({id(error) for error in errors}) == 8
    assert len(tries) <= 2
    assert threads() == []


def test_close_is_idempotent_and_no_end(auth: Auth) -> None:
    """Closed twice, it starts again when it is called."""
    credential = token_of(auth.login("ann", mode=Mode.JWT))
    auth.verify(credential)
    auth.close()
    auth.close()
    assert auth.known(credential.key) is None
    assert auth.login("ann").session.subject == "ann"


def test_calls_while_it_closes() -> None:
    """They end, or are told that the store is unavailable; none hangs and none is lost."""
    auth = made().start()
    gate = Gate()
    told = []

    async def wait(_: object) -> None:
        gate._reached.set()
        await asyncio.Event().wait()

    def call() -> None:
        with pytest.raises(StoreUnavailable) as raised:
            auth.run(wait)
        told.append(raised.value)

    caller = threading.Thread(target=call)
    caller.start()
    gate.reached()
    auth.close()
    caller.join(SOON)
    assert len(told) == 1
    assert threads() == []


def test_many_calls_while_it_closes_again_and_again() -> None:
    """Each works or is refused with `StoreUnavailable`."""
    auth = made()
    over = threading.Event()

    def work() -> int:
        done = 0
        while not over.is_set():
            try:
                auth.login("ann")
                done += 1
            except StoreUnavailable:
                pass
        return done

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(work) for _ in range(4)]
        for _ in range(10):
            time.sleep(0.02)
            auth.close()
        over.set()
        assert sum(call.result(SOON) for call in calls) > 0
    auth.close()
    assert threads() == []


def test_waiting_in_the_loop_for_the_loop(auth: Auth) -> None:
    """It would wait for ever, so it is refused."""

    async def inside(_: object) -> None:
        auth.login("ann")

    async def ending(_: object) -> None:
        auth.close()

    for work in (inside, ending):
        with pytest.raises(RuntimeError, match="for ever"):
            auth.run(work)


def test_a_caller_who_is_interrupted(auth: Auth) -> None:
    """Leaves at once, the work is cancelled, and the next call works."""
    begun, cancelled = threading.Event(), threading.Event()

    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    async def wait(_: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def send() -> None:
        assert begun.wait(SOON)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        with pytest.raises(Interrupted):
            auth.run(wait)
    finally:
        signal.signal(signal.SIGUSR1, before)
        sender.join(SOON)
    assert cancelled.wait(SOON)
    assert auth.login("ann").session.subject == "ann"


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_work_that_ends_the_program(auth: Auth, kind: type[BaseException]) -> None:
    """The caller gets it, and the loop goes on."""

    async def end(_: object) -> None:
        raise kind

    with pytest.raises(kind):
        auth.run(end)
    assert auth.login("ann").session.subject == "ann"


def test_errors_keep_their_type_and_hold_no_cycle(auth: Auth) -> None:
    """An error is gone with the last who looks at it, without the garbage collector."""

    class Mine(Exception):
        pass

    async def fail(_: object) -> None:
        raise Mine

    def failing_hook(subject: str) -> SubjectFacts:
        raise Mine

    async def fail_elsewhere(_: object) -> None:
        await background.called(failing_hook, "ann")

    gc.collect()
    gc.disable()
    try:
        for work in (fail, fail_elsewhere):
            gone = None
            try:
                auth.run(work)
            except Mine as error:
                gone = weakref.ref(error)
            assert gone is not None
            eventually(lambda gone=gone: gone() is None, what="the error is gone")  # type: ignore[misc]
    finally:
        gc.enable()


def test_errors_of_many_are_each_ones_own() -> None:
    """What one read told all who waited for it is no shared object that gathers everybody's frames."""
    store = GatedStore(MemoryStore())
    with made(store) as auth:
        credentials = [token_of(auth.login(name, mode=Mode.JWT)) for name in ("ann", "ben")]
        store.fail("events")
        eventually(lambda: not auth.run(is_live), what="the lease has lapsed")
        with ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(auth.verify, credential) for credential in credentials]
            errors = [call.exception(SOON) for call in calls]
        assert {type(error) for error in errors} == {StoreUnavailable}
        assert errors[0] is not errors[1]
        store.fail()


async def is_live(auth: coatcheck.Auth) -> bool:
    return auth.follower.is_live()


def test_hits_do_not_leave_the_thread(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the loop stuck they are answered while the lease runs. Then it is "unavailable", in stated time."""
    monkeypatch.setattr(background, "PATIENCE", 0.2)
    credential = token_of(auth.login("ann", mode=Mode.JWT))
    fresh = token_of(auth.login("ben", mode=Mode.JWT))
    auth.verify(credential)
    with stuck(auth):
        assert auth.verify(credential).subject == "ann"
        assert auth.known(credential.key) is not None
        with pytest.raises(StoreUnavailable, match="does not answer"):
            auth.verify(fresh)
        eventually(lambda: auth.known(credential.key) is None, what="the lease has lapsed")
        with pytest.raises(StoreUnavailable, match="does not answer"):
            auth.verify(credential)
    assert auth.verify(credential).subject == "ann"


def test_closing_what_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives up in time, says so, and what is still in use is not opened again beside it."""
    monkeypatch.setattr(background, "PATIENCE", 0.1)
    monkeypatch.setattr(life, "_CLOSE_LIMIT", 0.2)
    auth = made().start()
    auth.login("ann")
    with stuck(auth):
        with pytest.raises(StoreUnavailable, match="does not end"):
            auth.close()
        with pytest.raises(ConfigurationError, match="restart"):
            auth.login("ann")
    eventually(lambda: threads() == [], what="it ends once it can")


def test_a_hundred_first_sights_by_many_threads(auth: Auth) -> None:
    """32 threads at once, first sights and hits on one object: everyone gets who they ask for."""
    known = {f"user{n}": token_of(auth.login(f"user{n}", mode=Mode.JWT)) for n in range(100)}
    forged = bearer("x" * 200)

    def work(turn: int) -> None:
        for name, credential in list(known.items())[turn:] + list(known.items())[:turn]:
            assert auth.verify(credential).subject == name
        with pytest.raises(InvalidCredential):
            auth.verify(forged)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(32) as pool:
            for call in [pool.submit(work, turn) for turn in range(32)]:
                call.result(SOON)
    finally:
        sys.setswitchinterval(before)


request: ContextVar[object] = ContextVar("request")


def test_the_first_request_is_not_kept() -> None:
    """What follows the feed does not live in the context of whoever happened to start it."""

    class Request:
        pass

    served = []
    auth = made()

    def serve() -> None:
        first = Request()
        served.append(weakref.ref(first))
        request.set(first)
        auth.start()

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join(SOON)
    gc.collect()
    try:
        assert served[0]() is None
    finally:
        auth.close()


def test_a_hook_is_called_in_the_thread_that_asks() -> None:
    """It may block, it sees the caller's context, and it may use the blocking object itself."""
    seen = []

    def facts(subject: str) -> SubjectFacts | None:
        seen.append((threading.get_ident(), request.get()))
        if subject == "curious":
            auth.epoch_of("ann")
        if subject == "wrong":
            raise StopIteration
        if subject == "faulty":
            raise LookupError
        return SubjectFacts(roles=frozenset({"editor"})) if subject != "gone" else None

    auth = made(subjects=facts)
    with auth:
        request.set("mine")
        made_for = auth.login("ann", mode=Mode.JWT)
        assert auth.verify(token_of(made_for)).roles == {"editor"}
        auth.login("curious")
        for subject, error in (("wrong", RuntimeError), ("faulty", LookupError), ("gone", coatcheck.InvalidLogin)):
            with pytest.raises(error):
                auth.login(subject)
    assert set(seen) == {(threading.get_ident(), "mine")}


async def test_a_hook_for_an_asynchronous_view() -> None:
    """It is called in neither loop, so that it may block there too."""
    seen = []

    def facts(subject: str) -> SubjectFacts:
        seen.append(threading.current_thread().name)
        return SubjectFacts()

    auth = made(subjects=facts)
    await auth.arun(lambda inner: inner.login("ann"))
    await asyncio.to_thread(auth.close)
    assert "coatcheck" not in seen
    assert "MainThread" not in seen


async def test_an_asynchronous_view_goes_on_meanwhile() -> None:
    """Its loop turns while the other one works, and work of the background loop awaits right there."""
    auth = made()
    ours = Gate()

    async def wait(inner: coatcheck.Auth) -> str:
        await asyncio.to_thread(ours.hold)
        return (await auth.arun(lambda again: again.login("ann"))).session.subject

    waiting = asyncio.ensure_future(auth.arun(wait))
    await asyncio.to_thread(ours.reached)
    ours.open()
    assert await waiting == "ann"
    with pytest.raises(InvalidCredential):
        await auth.arun(lambda inner: inner.verify(bearer("x.y.z")))
    await asyncio.to_thread(auth.close)


async def test_an_asynchronous_view_that_is_cancelled() -> None:
    """Cancels what it waited for."""
    auth = made()
    begun, cancelled = threading.Event(), threading.Event()

    async def wait(_: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    waiting = asyncio.ensure_future(auth.arun(wait))
    await asyncio.to_thread(begun.wait, SOON)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(cancelled.wait, SOON)
    await asyncio.to_thread(auth.close)


async def test_an_asynchronous_view_of_a_loop_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told in stated time."""
    monkeypatch.setattr(background, "PATIENCE", 0.1)
    auth = made()
    await asyncio.to_thread(auth.start)
    with stuck(auth), pytest.raises(StoreUnavailable, match="does not answer"):
        await auth.arun(lambda inner: inner.login("ann"))
    await asyncio.to_thread(auth.close)


@pytest.mark.parametrize(
    ("name", "asked"), [("gevent.monkey", "is_module_patched"), ("eventlet.patcher", "is_monkey_patched")]
)
def test_green_threads_are_refused(name: str, asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where gevent or eventlet has replaced threads, an error says what to do. Merely imported, they do no harm."""
    module = ModuleType(name)
    patched = {"threading": True, "thread": True}
    setattr(module, asked, lambda what: patched[what])
    monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(ConfigurationError, match="gthread"):
        made().start()
    patched.update(threading=False, thread=False)
    made().start().close()


@pytest.mark.parametrize(("ours", "theirs"), [(Auth, coatcheck.Auth), (RemoteVerifier, coatcheck.RemoteVerifier)])
def test_made_with_the_same_arguments(ours: type, theirs: type) -> None:
    """Names, order, defaults and types are those of the asynchronous classes; so are those of shared methods."""
    assert inspect.signature(ours) == inspect.signature(theirs)
    shared = {"authenticate", "login", "epoch_of", "refresh", "logout", "revoke", "revoke_subject", "subject_changed"}
    shared |= {"profile"}
    for name in shared & set(vars(theirs)):
        assert inspect.signature(getattr(ours, name)) == inspect.signature(getattr(theirs, name))


def test_debug_mode_finds_nothing(tmp_path: Path) -> None:
    """A whole life with warnings as errors: nothing left open, nothing never awaited."""
    done = script(
        """
        auth = made()
        credential, session = log_in(auth)
        assert auth.verify(credential).subject == "ann"
        assert auth.revoke(session)
        try:
            auth.verify(credential)
        except InvalidCredential:
            auth.close()
        again = made().start()
        log_in(again)
        try:
            made("sqlite:////nowhere/app.db").start()
        except ConfigurationError:
            print("done")
        """,
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_nothing_in_it_shows_a_secret() -> None:
    """Debuggers and error reports print what an object holds."""
    place = "postgresql://ann:hunter2@127.0.0.1/db"
    shown = [repr(vars(Auth(place, sessions="redis://:hunter2@127.0.0.1", secret="hunter2" * 5)))]
    shown.append(repr(vars(RemoteVerifier("https://auth.example", service_key="hunter2" * 5))))
    assert "hunter2" not in "".join(shown)
