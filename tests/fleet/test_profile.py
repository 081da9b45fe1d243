"""An address that one process has changed is the one that another process's pages show, as soon as roles would be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.orm import Session

from coatcheck import Auth, Mode
from tests.support.service import environment, eventually

from .page import SECRET, People, User, presented

ROOT = Path(__file__).parents[2]


class Page:
    """The page in another process, for somebody with this session."""

    def __init__(self, process: subprocess.Popen[str], token: str) -> None:
        self._process, self._token = process, token

    def answer(self) -> list[str]:
        """Role, address, and how many queries the users have been asked by then."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self._token}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().split()


@contextmanager
def page(folder: Path, token: str) -> Iterator[Page]:
    command = [sys.executable, "-m", "tests.fleet.page", str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=environment(), text=True, **pipes) as process:
        try:
            yield Page(process, token)
        finally:
            process.kill()


async def test_another_process(tmp_path: Path) -> None:
    """On SQLite. A hit asks the users nothing. Once the bound has passed, which ``wait`` waits for, the first answer is
    the new one; before that, whoever has the new roles has the new address."""
    people = People(tmp_path)

    def write(email: str, role: str) -> None:
        with Session(people.engine) as session:
            session.merge(User(id=7, email=email, role=role))
            session.commit()

    write("ann@example.com", "reader")
    async with Auth(f"sqlite:///{tmp_path / 'app.db'}", secret=SECRET, subjects=people.users) as auth:

        async def here() -> str:
            return (await auth.profile(await auth.verify(presented(token)))).email

        token = (await auth.login("7", mode=Mode.SESSION)).session_token or ""
        with page(tmp_path, token) as there:
            first = there.answer()
            assert first[:2] == ["reader", await here()] == ["reader", "ann@example.com"]
            assert [there.answer() for _ in range(20)] == [first] * 20

            write("ann@example.org", "reader")
            await auth.revocation.subject_changed("7", wait=True)
            assert there.answer()[:2] == ["reader", await here()] == ["reader", "ann@example.org"]

            write("ann@example.net", "editor")
            await auth.subject_changed("7")
            assert await here() == "ann@example.net"

            def with_new_roles() -> list[str] | None:
                answer = there.answer()
                return answer if answer[0] == "editor" else None

            assert eventually(with_new_roles, what="the new roles")[1] == "ann@example.net"
