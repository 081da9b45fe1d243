"""The pytest plugin in other people's projects."""

from __future__ import annotations

from pathlib import Path

from tests.support.kit import run_pytest

_UNUSED = """
import sys

def test_nothing_is_loaded():
    loaded = {name for name in sys.modules if name.partition(".")[0] in WATCHED}
    kit = {"coatcheck.testing." + name for name in ("plugin", "async_fixtures", "databases", "temporary")}
    assert loaded <= {"coatcheck", "coatcheck.lazily", "coatcheck.stand_ins", "coatcheck.testing"} | kit

WATCHED = {"coatcheck", "msgspec", "cryptography", "argon2", "sqlalchemy", "fastapi", "starlette", "httpx", "flask"}

def test_nothing_is_around_a_test(request):
    assert not [name for name in request.fixturenames if "coatcheck" in name or name == "login_as"]
"""


def test_a_project_without_it(tmp_path: Path) -> None:
    """Where no test asks for it, nothing of Coatcheck or of what it needs is imported, and no test is different."""
    done = run_pytest(tmp_path, {"test_unused.py": _UNUSED})
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_asyncio(tmp_path: Path) -> None:
    """Without pytest-asyncio the fixtures of threads are there."""
    text = """
def test_it(coatcheck_blocking_auth, coatcheck_clock, login_as):
    assert coatcheck_blocking_auth.clock.now() == coatcheck_clock.now()
"""
    done = run_pytest(tmp_path, {"test_threads.py": text}, "-p", "no:asyncio")
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_own_names_go_first(tmp_path: Path) -> None:
    """A project that has a fixture of such a name keeps it."""
    text = """
import pytest

@pytest.fixture
def login_as():
    return "mine"

def test_it(login_as):
    assert login_as == "mine"
"""
    done = run_pytest(tmp_path, {"test_mine.py": text})
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_auth_of_a_test(tmp_path: Path) -> None:
    """`coatcheck_auth` runs in the loop of its test, by the clock, with cheap passwords; each is another."""
    text = """
import pytest
from coatcheck import Mode, bearer
from coatcheck.errors import ExpiredCredential

@pytest.mark.asyncio
@pytest.mark.parametrize("number", [1, 2])
async def test_it(coatcheck_auth, coatcheck_clock, number):
    assert await coatcheck_auth.accounts.find_by_email("ann@example.com") is None
    account = await coatcheck_auth.accounts.register("ann@example.com", "nine brown owls")
    assert "m=8,t=1,p=1" in account.password_hash
    made = await coatcheck_auth.login(account.id, mode=Mode.JWT)
    assert (await coatcheck_auth.verify(bearer(made.access_token))).subject == account.id
    coatcheck_clock.advance(901)
    with pytest.raises(ExpiredCredential):
        await coatcheck_auth.verify(bearer(made.access_token))
"""
    done = run_pytest(tmp_path, {"test_auth.py": text})
    assert done.returncode == 0, done.stdout + done.stderr
