"""`request.user` is Django's user behind a verified credential; roles and status come from the model."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from coatcheck import Mode
from coatcheck.blocking import Auth
from coatcheck.django import DjangoUsers
from coatcheck.django.users import from_django, to_django
from tests.adapters.django.browser import OWN, PASSWORD, Browser


@pytest.mark.parametrize("mode", list(Mode), ids=str)
def test_login(browser: Browser, ann: User, mode: Mode) -> None:
    """A user logs in by user name and password in every mode; the subject is the primary key."""
    assert browser.enter(ann, password="nine white owls").status_code == 401
    assert browser.who() is None
    assert browser.enter(ann, mode).status_code == 200
    assert browser.who() == str(ann.pk)
    assert browser.get("/touched").json() == {"name": ann.username, "active": True, "known": True}
    assert browser.get("/touched-async").json() == {"name": ann.username, "active": True, "known": True}
    assert browser.get("/page").content.decode() == f"{ann.username} {ann.pk}"


def test_nobody(browser: Browser) -> None:
    """Nobody is Django's AnonymousUser."""
    answer = browser.get("/touched")
    assert answer.json() == {"name": "", "active": False, "known": False}
    assert answer.wsgi_request.user == AnonymousUser()
    assert browser.get("/page").content == b"nobody"


def test_lazy(browser: Browser, ann: User) -> None:
    """The database is asked for a user when a view touches it, once; a request that does not costs no query."""
    browser.enter(ann)
    browser.who()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert browser.who() == str(ann.pk)
        assert browser.get("/mine").status_code == 200
    assert len(queries) == 0
    with CaptureQueriesContext(connection) as queries:
        assert browser.get("/touched").json()["known"]
    assert len(queries) == 1


def test_inactive(browser: Browser, ann: User) -> None:
    """An inactive user cannot log in; one who was made inactive behind the signals' back is nobody once touched."""
    browser.enter(ann)
    assert browser.who() == str(ann.pk)
    User.objects.filter(pk=ann.pk).update(is_active=False)
    assert browser.get("/touched").json() == {"name": "", "active": False, "known": False}
    assert Browser().enter(ann).status_code == 401


def test_roles(browser: Browser, ann: User) -> None:
    """Groups are roles by their names; staff, superuser and admin are given by the flags alone."""
    for name in ("editors", "admin", "superuser"):
        ann.groups.add(Group.objects.get_or_create(name=name)[0])
    ann.is_staff = True
    ann.save()
    browser.enter(ann)
    assert browser.get("/mine").json()["roles"] == ["editors", "staff"]
    assert browser.get("/editors").content == b"edited"
    sessions = f"/auth/admin/subjects/{ann.pk}/sessions"
    assert browser.get(sessions).status_code == 403
    ann.is_superuser = True
    ann.save()
    assert browser.get("/mine").json()["roles"] == ["admin", "editors", "staff", "superuser"]
    assert browser.get(sessions).status_code == 200


def test_subject_is_one_spelling(auth: Auth, ann: User) -> None:
    """Only the text that the user's key is written as names the user, and what is no key at all is nobody."""
    users = DjangoUsers()
    assert users.find(str(ann.pk)) == ann
    for text in (f"0{ann.pk}", f" {ann.pk}", f"{ann.pk}.0", "", "x", "\0", "f" * 32, "9" * 40, "\ud800"):
        assert users.find(text) is None
        assert auth.run(lambda inner, text=text: inner.subjects.facts(text)) is None


@pytest.mark.parametrize("name", ["", "\0", "\ud800", "x" * 5000, "nobody", "ann\n"])
def test_names_that_are_none(browser: Browser, name: str) -> None:
    """Whatever is typed as a name is nobody, and no error."""
    user = User(username=name)
    if name == "\ud800":
        assert DjangoUsers().named(name) is None
    else:
        assert browser.enter(user).status_code in (401, 422)


@pytest.mark.parametrize("chosen", [{"url": "memory://", "subject_field": "username"}])
def test_subject_field(browser: Browser, ann: User) -> None:
    """Another unique field may name the subject."""
    browser.enter(ann)
    assert browser.who() == ann.username
    assert browser.get("/touched").json()["name"] == ann.username


def test_hashes(browser: Browser, ann: User) -> None:
    """A hash of another form is renewed at login in one that Django reads, and neither renews the other's again."""
    ann.password = make_password(PASSWORD, hasher="pbkdf2_sha256")
    ann.save()
    assert browser.enter(ann).status_code == 200
    ann.refresh_from_db()
    renewed = ann.password
    assert renewed.startswith("argon2$argon2id$")
    assert ann.check_password(PASSWORD)
    assert not ann.check_password("nine white owls")
    ann.refresh_from_db()
    assert ann.password == renewed
    ann.set_password(PASSWORD)
    ann.save()
    written = ann.password
    assert written != renewed
    assert browser.enter(ann).status_code == 200
    ann.refresh_from_db()
    assert ann.password == written


@pytest.mark.parametrize("typed", ["n\u00e9e brown owls", "ne\u0301e brown owls"])
@pytest.mark.parametrize("kept", ["n\u00e9e brown owls", "ne\u0301e brown owls"])
def test_spellings(browser: Browser, ann: User, kept: str, typed: str) -> None:
    """What is the same password to Coatcheck is the same to Django, whichever of them hashed it."""
    ann.set_password(kept)
    ann.save()
    assert ann.check_password(typed)
    assert browser.enter(ann, password=typed).status_code == 200
    phone = Browser()
    ann.password = make_password(kept, hasher="pbkdf2_sha256")
    ann.save()
    assert phone.enter(ann, password=kept).status_code == 200
    ann.refresh_from_db()
    assert ann.check_password(typed)


@pytest.mark.parametrize(
    "text", ["argon2$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA", "pbkdf2_sha256$1$salt$hash", "!unusable", ""]
)
def test_hash_forms(text: str) -> None:
    """What Django has written is handed back to it as it was."""
    assert to_django(from_django(text)) == text
    assert not from_django(text).startswith("argon2$")


def test_replace_hash(auth: Auth, ann: User) -> None:
    """A hash is replaced only if it still is the one that was read."""
    users, subject = DjangoUsers(), str(ann.pk)
    old = auth.run(lambda inner: users.login_of_subject(subject))
    assert old is not None
    new = old.password_hash[:-4] + "AAAA"
    assert not auth.run(lambda inner: users.replace_hash(subject, new, new))
    assert auth.run(lambda inner: users.replace_hash(subject, old.password_hash, new))
    assert not auth.run(lambda inner: users.replace_hash(subject, old.password_hash, new))
    ann.refresh_from_db()
    assert ann.password == f"argon2{new}"
    assert not auth.run(lambda inner: users.replace_hash("x", new, new))


def test_password_by_the_service(browser: Browser, ann: User) -> None:
    """A password changed at /auth/password is Django's too; other sessions end."""
    other = Browser()
    other.enter(ann)
    browser.enter(ann)
    body = {"current_password": PASSWORD, "new_password": "seven grey herons"}
    answer = browser.post("/auth/password", body, content_type="application/json", headers=OWN)
    assert answer.status_code == 200, answer.content
    assert (browser.who(), other.who()) == (str(ann.pk), None)
    ann.refresh_from_db()
    assert ann.check_password("seven grey herons")


def test_uncommitted(browser: Browser, ann: User) -> None:
    """What a transaction has not committed counts for nobody, not even for its own thread."""
    assert browser.get(f"/in-transaction?subject={ann.pk}").json() == {"roles": []}


async def test_from_an_event_loop(auth: Auth, ann: User) -> None:
    """A source in the application's own loop, and one asked from another loop, both find the user."""
    await asyncio.to_thread(auth.start)
    facts = await auth.arun(lambda inner: inner.subjects.facts(str(ann.pk)))
    assert facts is not None


async def test_two_of_one_subject(auth: Auth, ann: User) -> None:
    """A subject that names two users names nobody: neither is taken for the other."""
    users = DjangoUsers(subject_field="email")
    for name in ("first", "second"):
        await User.objects.acreate(username=f"{name}-{ann.pk}", email=f"same-{ann.pk}@example.com")
    assert await users.facts(f"same-{ann.pk}@example.com") is None
    assert await users.login_of_subject(f"same-{ann.pk}@example.com") is None
