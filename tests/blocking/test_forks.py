"""Processes that fork, in processes of their own."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import migrated_postgresql, shared_postgresql
from tests.support.patience import SOON
from tests.support.servers import redis
from tests.support.servers.redis_single import Redis
from tests.support.service import PATIENCE, environment

from .support import script

UNTOLD = "threads_life._everyone = lambda: []  # as if the fork were made in C: no hook of ours finds anything\n"
TOLD = ""


def ends_well(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", ""), done.stdout + done.stderr


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Redis]:
    with redis() as server:
        yield server


@pytest.mark.parametrize("hooks", [TOLD, UNTOLD], ids=["told", "untold"])
def test_made_before(hooks: str, folder: Path) -> None:
    """What was not started before the fork starts in each process by itself, and each has its own."""
    ends_well(
        script(
            f"""
            auth = made()
            {hooks}
            def work():
                credential, session = log_in(auth)
                assert auth.verify(credential).subject == "ann"
            children = [in_child(work) for _ in range(3)]
            work()
            assert [end_of(child) for child in children] == [0, 0, 0]
            print("done")
            """,
            folder,
        )
    )


def test_started_before(folder: Path) -> None:
    """Both sides go on, each with connections and locks of its own, and what one revokes the other refuses."""
    ends_well(
        script(
            """
            auth = made().start()
            credential, session = log_in(auth)
            auth.verify(credential)
            verified, told = os.pipe()
            def work():
                assert auth.known(credential.key) is None
                assert auth.verify(credential).subject == "ann"
                assert f" {os.getpid()} " in open("/proc/locks").read()  # the parent's would not protect us
                os.read(verified, 1)
                auth.revoke(session, wait=True)
            child = in_child(work)
            assert auth.verify(credential).subject == "ann"
            os.write(told, b"!")
            assert end_of(child) == 0
            try:
                auth.verify(credential)
            except InvalidCredential:
                log_in(auth)
            else:
                sys.exit("accepted")
            auth.close()
            import sqlite3
            found = sqlite3.connect("app.db").execute("PRAGMA integrity_check").fetchall()
            assert found == [("ok",)], found
            print("done")
            """,
            folder,
            "-W", "ignore::ResourceWarning",  # of the last line
        )
    )  # fmt: skip


def test_forks_amid_work(folder: Path) -> None:
    """Threads at work, forks again and again, and children's children: no call is lost on either side, none hangs."""
    ends_well(
        script(
            """
            auth = made().start()
            credentials = [log_in(auth, f"user{n}")[0] for n in range(4)]
            over = threading.Event()
            served = []
            def serve(n):
                while not over.is_set():
                    try:
                        assert auth.verify(credentials[n]).subject == f"user{n}"
                        log_in(auth, f"other{n}")  # of whom the oldest sessions may end
                        served.append(n)
                        time.sleep(0.02)  # or nobody else would ever get SQLite's lock
                    except StoreUnavailable:  # its second was over
                        pass
            threads = [threading.Thread(target=serve, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            def work():
                over.set()
                assert auth.verify(credentials[0]).subject == "user0"
                assert end_of(in_child(lambda: auth.verify(credentials[1]))) == 0
            for _ in range(5):
                before = len(served)
                assert end_of(in_child(work)) == 0
                while len(served) == before:
                    time.sleep(0.001)
            over.set()
            for thread in threads:
                thread.join()
            print("done")
            """,
            folder,
        )
    )


def test_threads_are_gone_before_a_fork(folder: Path) -> None:
    """What a thread of ours holds at its very end, such as a lock of OpenSSL, is free in the child."""
    ends_well(
        script(
            """
            import ctypes
            libc, key = ctypes.CDLL(None), ctypes.c_uint()
            # As OpenSSL does it: something of the thread's own, and what is done with it when the thread ends.
            assert libc.pthread_key_create(ctypes.byref(key), libc.usleep) == 0
            auth = made().start()
            async def takes_its_time(inner):
                assert libc.pthread_setspecific(key, ctypes.c_void_p(300_000)) == 0
                return threading.get_native_id()
            for _ in range(3):
                thread = auth.run(takes_its_time)
                assert os.path.exists(f"/proc/self/task/{thread}")
                threads_life._before_fork()
                assert not os.path.exists(f"/proc/self/task/{thread}")
                threads_life._after_fork(is_child=False)
            log_in(auth)
            print("done")
            """,
            folder,
        )
    )


def test_fork_while_another_thread_starts(folder: Path) -> None:
    """Its lock is nobody's in the child, who starts for itself."""
    ends_well(
        script(
            """
            from coatcheck.stores.memory import MemoryStore
            threads_life._EXIT_LIMIT = 0.3
            began, may_go_on = threading.Event(), threading.Event()
            class Slow(MemoryStore):
                async def open(self, *, migrate=False):
                    began.set()
                    while not may_go_on.is_set():
                        import asyncio; await asyncio.sleep(0.01)
            stores = [Slow(), MemoryStore()]
            auth = Auth("memory://", secret="of the tests, and of no more than that", subjects=ApplicationSubjects())
            slow = Auth(stores[0], secret="of the tests, and of no more than that", subjects=ApplicationSubjects())
            starting = threading.Thread(target=slow.start)
            starting.start()
            began.wait()
            def work():
                log_in(auth)
                try:
                    slow.start()
                except ConfigurationError as error:
                    assert "after the fork" in str(error)
                else:
                    sys.exit("it took the parent's store")
            child = in_child(work)
            may_go_on.set()
            starting.join()
            log_in(slow)
            assert end_of(child) == 0
            print("done")
            """,
            folder,
        )
    )


def test_fork_in_the_loop_itself(folder: Path) -> None:
    """The loop cannot end for it. The child refuses the file, and the parent goes on."""
    ends_well(
        script(
            """
            auth = made().start()
            credential, _ = log_in(auth)
            children = []
            def refused():
                try:
                    auth.verify(credential)
                except ConfigurationError:
                    os._exit(0)
                os._exit(1)
            async def forks(_):
                child = os.fork()
                if child == 0:
                    refused()
                children.append(child)
            auth.run(forks)
            assert end_of(children[0]) == 0
            assert auth.verify(credential).subject == "ann"
            print("done")
            """,
            folder,
        )
    )


def test_untold_with_a_file_open(folder: Path) -> None:
    """SQLite would take the parent's locks for its own: the child says what to do, hits end with the lease, and the
    parent's file stays whole, also when the child ends in good order."""
    ends_well(
        script(
            f"""
            auth = made().start()
            credential, session = log_in(auth)
            auth.verify(credential)
            class Probe:
                def __del__(self, parent=os.getpid(), getpid=os.getpid, write=os.write):
                    if getpid() != parent:
                        write(2, b"the parent's was collected in a child")
            auth._life.inner.probe = auth._life.background.probe = Probe()
            {UNTOLD}
            def work():
                while auth.known(credential.key) is not None:
                    time.sleep(0.01)
                for _ in range(2):
                    try:
                        auth.verify(credential)
                    except ConfigurationError as error:
                        assert "after the fork" in str(error)
                    else:
                        sys.exit("accepted")
            for child in [in_child(work), in_child(lambda: None)]:
                assert end_of(child) == 0
            assert auth.verify(credential).subject == "ann"
            auth.revoke(session)
            log_in(auth)
            print("done")
            """,
            folder,
        )
    )


@pytest.mark.parametrize("hooks", [TOLD, UNTOLD], ids=["told", "untold"])
@pytest.mark.parametrize("engine", ["postgresql", "redis"])
def test_started_before_with_a_server(engine: str, hooks: str, folder: Path, redis_server: Redis) -> None:
    """The child makes connections of its own and never speaks on the parent's, nor closes one, also at its end."""
    url = redis_server.url() if engine == "redis" else migrated_postgresql()
    done = script(
        f"""
        auth = made({url!r}).start()
        subject = {secrets.token_hex(6)!r}
        credential, session = log_in(auth, subject)
        auth.verify(credential)
        {hooks}
        def work():
            until = time.monotonic() + {SOON}
            while auth.known(credential.key) is not None:  # the parent's, if nobody has told us
                assert time.monotonic() < until
                time.sleep(0.01)
            assert auth.verify(credential).subject == subject
            auth.revoke(session, wait=True)
        for each in (work, lambda: None):
            assert end_of(in_child(each)) == 0
        try:
            auth.verify(credential)
        except InvalidCredential:
            log_in(auth, subject)
        else:
            sys.exit("accepted")
        print("done")
        """,
        folder,
    )
    ends_well(done)
    if engine == "postgresql":
        assert "unexpected" not in shared_postgresql().output()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(method: str, folder: Path) -> None:
    """However its children begin, they work."""
    (folder / "program.py").write_text(
        "import multiprocessing, sys\n"
        "from coatcheck import ApplicationSubjects\n"
        "from coatcheck.blocking import Auth\n"
        "secret = 'of the tests, and of no more than that'\n"
        "auth = Auth('sqlite:///app.db', secret=secret, subjects=ApplicationSubjects())\n"
        "def work(name):\n"
        "    return auth.login(name).session.subject\n"
        "if __name__ == '__main__':\n"
        "    work('ann')\n"
        f"    with multiprocessing.get_context({method!r}).Pool(2) as pool:\n"
        "        assert sorted(pool.map(work, ['ben', 'cat', 'dan'])) == ['ben', 'cat', 'dan']\n"
        "    work('ann')\n"
        "    print('done')\n"
    )
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, env=environment(), capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    ends_well(done)
