"""What a page of an application of threads shows of whoever is asking."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from coatcheck import Identity, Mode, Profile, StoreUnavailable, SubjectFacts
from coatcheck.blocking import Auth
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.transport import Carrier, Credential, cookie
from coatcheck.flask import current_user, mount_auth
from coatcheck.stores.memory import MemoryStore
from tests.support.gates import GatedStore
from tests.support.users import User, Users

from .support import SECRET, begin, stuck

CHANGES = 200


@pytest.fixture(autouse=True)
def _begin() -> None:
    begin()


def logged_in(auth: Auth) -> Credential:
    made = auth.login("ann", mode=Mode.SESSION)
    return cookie(Carrier.SESSION_COOKIE, SECURE.session, made.session_token or "")


def test_what_is_known_does_not_leave_the_thread() -> None:
    """It is told while something blocks the loop; what has to be read is not."""
    people = Users([User("ann", ("ann@example.com",), "")])
    with Auth("memory://", secret=SECRET, subjects=people) as auth:
        identity, other = auth.verify(logged_in(auth)), auth.verify(logged_in(auth))
        known = auth.profile(identity)
        assert known == Profile(subject="ann", email="ann@example.com")
        with stuck(auth):
            assert auth.profile(identity) is known
    with Auth("memory://", secret=SECRET, subjects=lambda subject: SubjectFacts(claims={"name": "Ann"})) as auth:
        identity = auth.verify(logged_in(auth))
        with stuck(auth):
            assert auth.profile(identity).name == "Ann"
    assert auth.profile(other).name == "", "it starts by itself, as for every other call"
    auth.close()


def test_what_is_raised() -> None:
    """What the asynchronous one raises, in the caller."""
    store, people = GatedStore(MemoryStore()), Users([User("ann", ("ann@example.com",), "")])
    with Auth(store, secret=SECRET, subjects=people) as auth:
        identity = auth.verify(logged_in(auth))
        people.failing.add("login_of_subject")
        with pytest.raises(StoreUnavailable):
            auth.profile(identity)
        with pytest.raises(TypeError, match="identity must be Identity, not str"):
            auth.profile("ann")  # type: ignore[arg-type]


def test_no_thread_sees_an_old_one() -> None:
    """Whatever many threads read and keep meanwhile: when a change has returned, nobody is told what was before it, nor
    is whoever holds an identity of before."""
    ann = User("ann", ("0",), "")
    latest, over = 0, threading.Event()
    with Auth("memory://", secret=SECRET, subjects=Users([ann])) as auth:
        credential = logged_in(auth)
        before: list[Identity] = []

        def read(number: int) -> int:
            seen = 0
            while not seen or not over.is_set():
                least = latest
                identity = auth.verify(credential)
                assert int(auth.profile(identity).email) >= least
                if number == 0 and len(before) < CHANGES:
                    before.append(identity)
                for old in before[-3:]:
                    assert int(auth.profile(old).email) >= least
                seen += 1
            return seen

        with ThreadPoolExecutor(4) as pool:
            readers = [pool.submit(read, number) for number in range(4)]
            try:
                for number in range(1, CHANGES + 1):
                    ann.names = (str(number),)
                    auth.subject_changed("ann")
                    latest = number
            finally:
                over.set()
            assert all(reader.result() for reader in readers)


def test_a_proxy_of_flask() -> None:
    """``current_user`` stands for the identity: what is known of that does not leave the thread either."""
    people = Users([User("ann", ("ann@example.com",), "")])
    app = Flask("shop")
    with Auth("memory://", secret=SECRET, subjects=people) as auth:
        mount_auth(app, auth)
        credential = logged_in(auth)

        @app.get("/")
        def home() -> str:
            return auth.profile(current_user).email

        client = app.test_client()
        client.set_cookie(SECURE.session, credential.key.decode().partition("=")[2], domain="app.example")
        assert client.get("/", base_url="https://app.example").text == "ann@example.com"
        with stuck(auth):
            assert client.get("/", base_url="https://app.example").text == "ann@example.com"
