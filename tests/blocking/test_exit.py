"""The end of the process, in processes of their own."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from coatcheck import ApplicationSubjects, Auth
from coatcheck.model import Session

from .support import SECRET, script

USE = """
auth = made()
credential, session = log_in(auth)
auth.verify(credential)
cookie = auth.login("ben", mode=Mode.SESSION)
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.transport import Carrier, cookie as carried
credential = carried(Carrier.SESSION_COOKIE, SECURE.session, cookie.session_token)
auth.verify(credential)
time.sleep(0.1)
assert auth.known(credential.key) is not None
print(cookie.session.id, flush=True)
"""


async def session_of(folder: Path, session_id: str) -> Session:
    async with Auth(f"sqlite:///{folder}/app.db", secret=SECRET, subjects=ApplicationSubjects()) as auth:
        standing = await auth.sessions.find(session_id, now=auth.clock.now())
    assert standing is not None
    return standing.session


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise KeyboardInterrupt", -signal.SIGINT),
        ("assert False", 1),
        ("import atexit; atexit.register(lambda: auth.login('late'))", 0),
        ("del auth", 0),
        ("import asyncio; auth.run(lambda _: asyncio.to_thread(int))", 0),
    ],
    ids=["end", "exit", "interrupt", "error", "used by an exit handler", "forgotten", "with a pool"],
)
async def test_last_uses_are_written(ending: str, code: int, folder: Path) -> None:
    """However a program ends that is not killed, nobody's idle time starts too early."""
    done = script(f"{USE}{ending}", folder)
    # Python ends with 1 instead where code is compiled on the way out.
    assert done.returncode == code or (code < 0 and done.returncode == 1), done.stderr
    assert ("Error" in done.stderr or "Interrupt" in done.stderr) == (code not in (0, 3))
    session = await session_of(folder, done.stdout.strip())
    assert session.seen >= session.created + 0.05
    assert not (folder / "app.db-wal").exists()


def test_threads_that_still_work(folder: Path) -> None:
    """What is no daemon ends first, and may use it until then."""
    done = script(
        """
        auth = made()
        def work():
            time.sleep(0.3)
            log_in(auth)
            print("worked")
        threading.Thread(target=work).start()
        auth.start()
        """,
        folder,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "worked\n", "")


def test_a_loop_that_is_stuck(folder: Path) -> None:
    """The process ends even so, and says what was not done."""
    done = script(
        """
        threads_life._EXIT_LIMIT = 0.2
        auth = made().start()
        inside = threading.Event()
        def block():
            auth.run(lambda _: (inside.set(), time.sleep(3600)))
        threading.Thread(target=block, daemon=True).start()
        inside.wait()
        print("done")
        """,
        folder,
    )
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "not closed at the end of the process" in done.stderr


def test_calls_after_the_end(folder: Path) -> None:
    """What calls after everything was closed is told so, and starts nothing."""
    done = script(
        """
        import atexit
        # Handlers run last in, first out: this one comes after ours, which was registered by the import.
        atexit.unregister(threads_life._at_exit)
        def late():
            try:
                auth.login("ann")
            except StoreUnavailable as error:
                print(error)
        atexit.register(late)
        atexit.register(threads_life._at_exit)
        auth = made().start()
        """,
        folder,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "the process is ending\n", "")
