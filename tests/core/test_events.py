"""The stream of events: who hears of them, and what they never hold."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from coatcheck import Auth, Policy, acting, acts
from coatcheck.addresses import Addresses
from coatcheck.blocking import Auth as BlockingAuth
from coatcheck.errors import ConfigurationError
from coatcheck.events import Act, Events, SecurityEvent
from coatcheck.testing.clock import TravelClock
from tests.service.visitor import EMAIL, PASSWORD, make_auth

TOLD = Act("thing.told", "for the tests", details=("email", "reason"))


def heard(events: Events) -> list[SecurityEvent]:
    seen: list[SecurityEvent] = []
    events.subscribe(seen.append)
    return seen


def test_an_event_says_who_what_and_when() -> None:
    """All that was given, and who acts as far as that is known."""
    events = Events(lambda: 12.5)
    seen = heard(events)
    with acting.asked_from("192.0.2.1"):
        acting.known_as("root", "s0")
        events.emit(TOLD, subject="ada", session="s1", reason="because")
    events.emit(TOLD, subject="ada", ip="192.0.2.7")
    assert [event.said() | {"at": event.at, "name": event.name} for event in seen] == [
        {"at": 12.5, "name": "thing.told", "subject": "ada", "session": "s1", "reason": "because",
         "by": "root", "by_session": "s0", "ip": "192.0.2.1"},
        {"at": 12.5, "name": "thing.told", "subject": "ada", "ip": "192.0.2.7"},
    ]  # fmt: skip


def test_an_event_cannot_be_changed() -> None:
    """One subscriber cannot change what the next one is told."""
    events = Events(lambda: 1.0)
    seen = heard(events)
    events.emit(TOLD, reason="because")
    with pytest.raises(TypeError):
        seen[0].details["reason"] = "another"  # type: ignore[index]
    with pytest.raises(AttributeError):
        seen[0].subject = "eve"  # type: ignore[misc]


def test_a_subscription_ends() -> None:
    """What subscribing gives ends it, however often it is called, and no other."""
    events = Events(lambda: 1.0)
    seen: list[SecurityEvent] = []
    end, still = events.subscribe(seen.append), heard(events)
    events.emit(TOLD)
    end()
    end()
    events.emit(TOLD)
    assert (len(seen), len(still)) == (1, 2)


def test_one_that_subscribes_twice() -> None:
    """It is told twice, and once when one of the two has ended."""
    events = Events(lambda: 1.0)
    seen: list[SecurityEvent] = []
    told = seen.append
    end, _ = events.subscribe(told), events.subscribe(told)
    events.emit(TOLD)
    end()
    events.emit(TOLD)
    assert len(seen) == 3


def test_a_subscriber_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """What was done stays done, and the others hear of it."""
    events = Events(lambda: 1.0)

    def fails(event: SecurityEvent) -> None:
        raise LookupError("its own")

    events.subscribe(fails)
    seen = heard(events)
    events.emit(TOLD)
    assert len(seen) == 1
    assert "a subscriber failed at thing.told" in caplog.text


class Waits:
    async def __call__(self, event: SecurityEvent) -> None: ...

    async def later(self, event: SecurityEvent) -> None: ...


async def waits(event: SecurityEvent) -> None: ...


def yields(event: SecurityEvent) -> Iterator[SecurityEvent]:
    yield event


async def yields_later(event: SecurityEvent) -> AsyncIterator[SecurityEvent]:
    yield event


@pytest.mark.parametrize("wrong", [None, "print", waits, Waits(), Waits().later, Waits, list, yields, yields_later])
def test_what_cannot_subscribe(wrong: Any) -> None:
    """A coroutine or generator function would never run, and a class would only be made: refused at once."""
    with pytest.raises(TypeError, match="ordinary function"):
        Events(lambda: 1.0).subscribe(wrong)


SECRETS = [
    "ccs_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "cca_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln",
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA",
    "$2b$12$abcdefghijklmnopqrstuv",
    "pbkdf2_sha256$600000$c2FsdA$aGFzaA=",
    "argon2$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA",
    "scrypt:32768:8:1$salt$68617368",
    "postgresql://app:secret@db/app",
    "-----BEGIN PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", ["subject", "session", "reason", "email"])
def test_nothing_that_can_be_presented(caplog: pytest.LogCaptureFixture, secret: str, place: str) -> None:
    """Wherever it is given, what looks like a credential or a hash is withheld from everybody."""
    caplog.set_level(logging.DEBUG)
    events = Events(lambda: 1.0)
    seen = heard(events)
    events.emit(TOLD, **{place: f"it was {secret}"})  # type: ignore[arg-type]
    assert seen[0].said() == {place: "(withheld)"}
    assert secret not in caplog.text + repr(seen)


def test_only_what_was_declared(caplog: pytest.LogCaptureFixture) -> None:
    """A detail that the act was not declared with reaches nobody, and the log says so without its value."""
    events = Events(lambda: 1.0)
    seen = heard(events)
    events.emit(TOLD, password="hunter2 hunter2")
    assert seen[0].said() == {}
    assert "'password'" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("evil", ["\r\nINFO forged", "\x1b[31mred", "a\u2028b", "\ud800"])
def test_one_line(caplog: pytest.LogCaptureFixture, evil: str) -> None:
    """What a client wrote begins no line, whichever field it stands in."""
    caplog.set_level(logging.DEBUG)
    events = Events(lambda: 1.0)
    events.emit(TOLD, subject=evil, session=evil, ip=evil, reason=evil, email=evil)
    [record] = caplog.records
    assert record.getMessage().isprintable()
    record.getMessage().encode()


@pytest.mark.parametrize(
    ("how", "email", "v4", "v6", "mapped", "none"),
    [
        ("clear", "ada@lovelace.example", "192.0.2.77", "2001:db8:1:2::3", "::ffff:192.0.2.77", "testclient"),
        ("masked", "a…@lovelace.example", "192.0.2.0/24", "2001:db8:1::/48", "192.0.2.0/24", None),
        ("none", None, None, None, None, None),
    ],
)
def test_addresses(how: Addresses, email: str, v4: str, v6: str, mapped: str, none: str) -> None:
    """Addresses are shown as the policy says, to everybody alike."""
    events = Events(lambda: 1.0, how)
    seen = heard(events)
    events.emit(TOLD, email="ada@lovelace.example")
    for ip in ("192.0.2.77", "2001:db8:1:2::3", "::ffff:192.0.2.77", "testclient"):
        events.emit(TOLD, ip=ip)
    assert seen[0].said().get("email") == email
    assert [event.ip or None for event in seen[1:]] == [v4, v6, mapped, none]


async def test_the_policy_decides() -> None:
    """`Policy.event_addresses` holds for all that an Auth tells."""
    async with make_auth(TravelClock(), policy=Policy(event_addresses="masked")) as auth:
        seen = heard(auth.events)
        account = await auth.accounts.register(EMAIL, PASSWORD, ip="192.0.2.77")
        await auth.authenticate(EMAIL, PASSWORD, ip="192.0.2.77")
    told = [(event.name, event.subject, event.ip, event.details.get("email")) for event in seen]
    shown = (account.id, "192.0.2.0/24", "a…@lovelace.example")
    assert [one for one in told if one[0] != "key.added"] == [("account.registered", *shown), ("login.proved", *shown)]


@pytest.mark.parametrize("wrong", ["mask", "", None, True])
def test_the_policy_is_checked(wrong: Any) -> None:
    """What is none of the three is refused at start."""
    with pytest.raises(ConfigurationError, match="event_addresses"):
        Policy(event_addresses=wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Act("started", "no thing"),
        lambda: Act("Session.Started", "not in small letters"),
        lambda: Act("a.b", "a field of every event", details=("subject",)),
        lambda: Act("a.b", "a field of every log record", details=("message",)),
        lambda: Act("a.b", "no name", details=("user name",)),
    ],
)
def test_names_that_cannot_be(make: Callable[[], Act]) -> None:
    """An act is refused where it is declared, and not where it happens."""
    with pytest.raises(ValueError, match=r"cannot be a detail|no name of an event"):
        make()


def test_each_name_once() -> None:
    """No two acts have one name."""
    assert len({act.name for act in acts.ACTS}) == len(acts.ACTS)


async def test_subscribed_before_the_start(tmp_path: Any) -> None:
    """Whoever subscribes before the start hears of the first key, and of what comes after a second start."""
    auth = Auth(f"sqlite:///{tmp_path}/app.db")
    seen = heard(auth.events)
    for _ in range(2):
        async with auth:
            await auth.accounts.find_by_email(EMAIL)
            await auth.epoch_of("nobody")
            await auth.revoke_subject("nobody")
    assert [event.name for event in seen] == ["key.added", "subject.cut_off", "subject.cut_off"]


def test_threads(tmp_path: Any) -> None:
    """The flavour for threads has the same stream, across closing and starting again."""
    auth = BlockingAuth(f"sqlite:///{tmp_path}/app.db")
    seen = heard(auth.events)
    for _ in range(2):
        with auth:
            auth.revoke_subject("nobody")
    assert [event.name for event in seen] == ["key.added", "subject.cut_off", "subject.cut_off"]
