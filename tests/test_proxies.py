"""Whose word counts for a client's address."""

from __future__ import annotations

import pytest

from coatcheck import ConfigurationError, Policy
from coatcheck.credentials.arrival import Arrival, arrival_of_asgi, arrival_of_wsgi
from coatcheck.proxies import _address, client_of, is_unbelieved

PUBLIC, OTHER, INSIDE, PROXY = "198.51.100.7", "203.0.113.9", "10.1.2.3", "10.0.0.2"
# RFC 5737's addresses count as of no network out there, so those that are to be public are somebody's.
STREET, FURTHER = "93.184.216.34", "8.8.4.4"


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "client"),
    [
        (PUBLIC, [], [], PUBLIC),
        (PROXY, [PUBLIC], ["10.0.0.0/8"], PUBLIC),
        (PROXY, [f"{OTHER}, {PUBLIC}"], ["10.0.0.0/8"], PUBLIC),
        (PROXY, [f"{OTHER},{PUBLIC} , 10.9.9.9"], ["10.0.0.0/8"], PUBLIC),
        (PROXY, [OTHER, PUBLIC], ["10.0.0.0/8"], PUBLIC),
        (PROXY, ["10.9.9.9"], ["10.0.0.0/8"], "10.9.9.9"),
        (PROXY, ["[2001:db8::1]:443"], ["10.0.0.2"], "2001:db8::1"),
        (PROXY, [f"{PUBLIC}:50111"], ["10.0.0.2"], PUBLIC),
        ("::ffff:10.0.0.2", [PUBLIC], ["10.0.0.2"], PUBLIC),
        ("", [PUBLIC], ["unix"], PUBLIC),
        ("/run/app.sock", [PUBLIC], ["unix"], PUBLIC),
        ("unix:", [], ["unix"], ""),
        ("", [PUBLIC], [], ""),
        ("", [PUBLIC], ["127.0.0.1"], ""),
        # Whoever is not trusted counts as itself, where it may be a client.
        (STREET, [FURTHER], [], STREET),
        (STREET, [FURTHER], ["10.0.0.0/8"], STREET),
        # What is surely a proxy has no clients that are known.
        (INSIDE, [STREET], [], ""),
        ("fd00::2", [STREET], ["10.0.0.0/8"], ""),
        # A server that has believed a proxy gives out one of the hops.
        (INSIDE, [f"{STREET}, {INSIDE}"], [], INSIDE),
    ],
)
def test_client(peer: str, forwarded: list[str], trusted: list[str], client: str) -> None:
    """It is the first hop that no trusted proxy speaks for, whatever else the header claims."""
    assert client_of(peer, forwarded, Policy(trusted_proxies=tuple(trusted)).trusted_proxies) == client


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "unbelieved"),
    [
        ("127.0.0.1", [PUBLIC], [], True),
        ("", [PUBLIC], [], True),
        ("", [PUBLIC], ["unix"], False),
        (STREET, [FURTHER], ["10.0.0.0/8"], True),
        (PROXY, [PUBLIC], ["10.0.0.0/8"], False),
        (PUBLIC, [f"{OTHER}, {PUBLIC}, 10.0.0.9"], [], False),
        (PUBLIC, [], [], False),
        (PUBLIC, ["unknown"], [], False),
    ],
)
def test_unbelieved(peer: str, forwarded: list[str], trusted: list[str], unbelieved: bool) -> None:
    """Whoever claims to speak for another address than its own, unless somebody has believed it."""
    assert is_unbelieved(peer, forwarded, trusted) is unbelieved


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("*",), "no address or network"),
        (("proxy.internal",), "no address or network"),
        (("10.0.0.1/8",), "has host bits set"),
        (("0.0.0.0/0",), "everybody"),
        (("::/0",), "everybody"),
        (("",), "no address or network"),
        ((10,), "not a text"),
        ("10.0.0.1", "not one text"),
    ],
)
def test_what_names_no_proxy_is_refused(given: object, words: str) -> None:
    """When the policy is made, by name."""
    with pytest.raises(ConfigurationError, match=f"trusted_proxies.*{words}"):
        Policy(trusted_proxies=given)  # type: ignore[arg-type]


def test_proxies_are_kept_in_canonical_form() -> None:
    """As networks."""
    assert Policy(trusted_proxies=["10.0.0.7", "FD00::/8", "unix"]).trusted_proxies == (  # type: ignore[arg-type]
        "10.0.0.7/32", "fd00::/8", "unix",
    )  # fmt: skip


def _asgi(peer: str, values: list[str]) -> Arrival:
    headers = [(b"host", b"app.example"), *((b"x-forwarded-for", value.encode()) for value in values)]
    client = (peer, 0) if peer else None
    return arrival_of_asgi({"type": "http", "method": "GET", "scheme": "https", "headers": headers, "client": client})


def _wsgi(peer: str, values: list[str]) -> Arrival:
    environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "https", "HTTP_HOST": "app.example", "REMOTE_ADDR": peer}
    return arrival_of_wsgi(environ | ({"HTTP_X_FORWARDED_FOR": ",".join(values)} if values else {}))


@pytest.mark.parametrize("arrival", [_asgi, _wsgi])
def test_what_arrives(arrival: object) -> None:
    """ASGI and WSGI are read alike."""
    assert callable(arrival)
    for peer, values, client in [(PROXY, [OTHER, PUBLIC], PUBLIC), ("", [PUBLIC], PUBLIC), (STREET, [OTHER], STREET)]:
        found = arrival(peer, values)
        assert found.client(("10.0.0.0/8", "unix")) == found.device(("10.0.0.0/8", "unix")).ip == client


@pytest.mark.parametrize("name", ["X-Real-IP", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host"])
def test_a_proxy_that_sends_something_else(name: str) -> None:
    """From a private network it is no client, named or not, and the log says what is missing; from the street it is."""
    for peer, trusted, client in [
        (PROXY, [], ""),
        (PROXY, ["10.0.0.0/8"], ""),
        (STREET, [], STREET),
        ("", ["unix"], ""),
    ]:
        scope = {"type": "http", "method": "GET", "scheme": "https", "client": (peer, 0) if peer else None}
        headers = [(b"host", b"app.example"), (name.lower().encode(), b"203.0.113.9")]
        found = arrival_of_asgi({**scope, "headers": headers})
        assert found.client(trusted) == client
        assert found.is_unbelieved(trusted)


@pytest.mark.parametrize("forwarded", [[], ["unknown"], [""], [f"{STREET}, unknown"], [f"{STREET}, unknown, {PROXY}"]])
def test_a_named_proxy_that_does_not_say(forwarded: list[str]) -> None:
    """It is no client itself, so nobody shares a limit with everybody behind it."""
    assert client_of(PROXY, forwarded, Policy(trusted_proxies=("10.0.0.0/8",)).trusted_proxies) == ""


def test_a_proxy_named_as_some_servers_show_it() -> None:
    """An IPv4 address in an IPv6 one is that address, in a list too."""
    policy = Policy(trusted_proxies=("::ffff:10.0.0.2", "::ffff:10.1.0.0/112"))
    assert policy.trusted_proxies == ("10.0.0.2/32", "10.1.0.0/16")
    assert client_of("10.0.0.2", [STREET], policy.trusted_proxies) == STREET
    with pytest.raises(ConfigurationError, match="everybody"):
        Policy(trusted_proxies=("::ffff:0.0.0.0/96",))


def test_a_header_that_is_long_costs_little() -> None:
    """Whoever pads it has the nearest hops looked at, and no more."""
    asked = _address.cache_info
    before = asked().misses + asked().hits
    padded = ",".join(f"9.{number % 250}.1.1" for number in range(5_000))
    assert client_of(PROXY, [f"{padded}, {STREET}"], ("10.0.0.0/8",)) == STREET
    assert is_unbelieved("172.16.0.9", [padded], ("10.0.0.0/8",))
    assert asked().misses + asked().hits - before < 200
