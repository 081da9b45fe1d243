"""Where a credential is found in a request, and where it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck import Mode
from coatcheck.credentials.arrival import Arrival, arrival_of_asgi
from coatcheck.credentials.cookies import (
    DEVELOPMENT,
    SECURE,
    delete_cookie,
    find_pair,
    is_ours,
    names_for,
    over_http,
    set_cookie,
)
from coatcheck.credentials.csrf import Provenance
from coatcheck.credentials.transport import Carrier, bearer, find_credential
from coatcheck.errors import MalformedCredential

S, A = b"__Host-coatcheck=", b"__Host-coatcheck-access="


def arriving(*headers: tuple[bytes, bytes]) -> Arrival:
    """A POST over https with these headers."""
    scope = {"type": "http", "method": "POST", "scheme": "https", "headers": [(b"host", b"app.example"), *headers]}
    return arrival_of_asgi(scope)


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        (S + b"ccs_1", "ccs_1"),
        (b"a=b; " + S + b"ccs_1; c=d", "ccs_1"),
        (b"a=b;" + S + b"ccs_1", "ccs_1"),
        (S + b"ccs_1 ; c=d", "ccs_1"),
        (b"x" + S + b"evil; " + S + b"ccs_1", "ccs_1"),
        (b"x" + S + b"evil", None),
        (b"a=" + S + b"evil", None),
        (b"a=b " + S + b"evil", None),
        (b"a=b\t" + S + b"evil", None),
        (b"a=b " + S + b"evil; " + S + b"ccs_1", "ccs_1"),
        (b"a=b;\t" + S + b"ccs_1", "ccs_1"),
        (b" " + S + b"ccs_1", "ccs_1"),
        (b"__host-coatcheck=ccs_1", None),
        (b"__Host-coatcheck =ccs_1", None),
        (b"__Host%2Dcoatcheck=ccs_1", None),
        (b"coatcheck=ccs_1", None),
        (b"__Secure-coatcheck=ccs_1", None),
        (b'"' + S + b'ccs_1"', None),
        (b"", None),
        (b";;;", None),
    ],
)
def test_session_cookie(cookies: bytes, expected: str | None) -> None:
    """A cookie is found by its exact name only, wherever it stands in the header."""
    found = find_credential(None, cookies, SECURE)
    assert (found.token if found else None) == expected
    if found:
        assert found.key == f"__Host-coatcheck={expected}".encode()
        assert found.carrier.mode is Mode.SESSION


@given(st.lists(st.sampled_from([S, b";", b" ", b"\t", b"\x0b", b"=", b",", b"a", b'"']), max_size=10).map(b"".join))
def test_a_cookie_stands_between_semicolons(cookies: bytes) -> None:
    """Wherever our name stands, it is a cookie's name only at the beginning of what semicolons part (RFC 6265 §4.2)."""
    ours = [pair for part in cookies.split(b";") if (pair := part.strip(b" \t")).startswith(S)]
    try:
        assert find_pair(cookies, S) == (ours[0] if ours else None)
        assert len(ours) <= 1
    except MalformedCredential:
        assert len(ours) > 1


@pytest.mark.parametrize(
    "cookies",
    [S + b"a; " + S + b"b", S + b"a; " + S + b"a", S + b"a;" + S, A + b"a; x=y; " + A + b"b"],
)
def test_same_cookie_twice(cookies: bytes) -> None:
    """The same cookie twice is refused, in whatever order and even with the same value."""
    with pytest.raises(MalformedCredential):
        find_credential(None, cookies, SECURE)


def test_several_cookie_headers_are_one() -> None:
    """A duplicate that is split over two Cookie headers is a duplicate."""
    arrival = arriving((b"cookie", S + b"a"), (b"cookie", S + b"b"))
    assert not arrival.by_bearer
    with pytest.raises(MalformedCredential):
        _ = arrival.credential


def test_access_cookie() -> None:
    """The access cookie is found when there is no session cookie, which goes first."""
    found = find_credential(None, A + b"ey.J.x", SECURE)
    assert found is not None
    assert (found.carrier, found.token) == (Carrier.ACCESS_COOKIE, "ey.J.x")
    found = find_credential(None, A + b"ey.J.x; " + S + b"ccs_1", SECURE)
    assert found is not None
    assert found.carrier is Carrier.SESSION_COOKIE


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer abc.def.ghi", "abc.def.ghi"),
        (b"bearer abc", "abc"),
        (b"BEARER   abc", "abc"),
        (b"Basic YTpi", None),
        (b"Bearerabc", None),
        (b"", None),
    ],
)
def test_bearer(header: bytes, token: str | None) -> None:
    """The scheme's name is case-insensitive; other schemes are not ours."""
    found = find_credential(header, None, SECURE)
    assert (found.token if found else None) == token
    if token:
        assert found == bearer(token)


@given(
    st.lists(
        st.sampled_from([b"Bearer", b"bEaReR", b" ", b"\t", b"\n", b"a", b"Z9._~+/=-", b",", b"\xe9"]), max_size=6
    ).map(b"".join)
)
def test_the_common_spelling_is_read_as_any_other(header: bytes) -> None:
    """What begins with `Bearer` and a space is taken or refused as it is with the name in another case."""

    def read(authorization: bytes) -> str | None:
        try:
            found = find_credential(authorization, None, None)
        except MalformedCredential:
            return "malformed"
        return found.token if found else None

    assert read(b"Bearer " + header) == read(b"bearer " + header)


@pytest.mark.parametrize("header", [b"Bearer", b"Bearer ", b"Bearer a b", b"Bearer a,b", b"Bearer \xff", b"bearer\ta"])
def test_bad_bearer_is_not_replaced_by_a_cookie(header: bytes) -> None:
    """A malformed bearer header is refused; a cookie beside it does not help."""
    with pytest.raises(MalformedCredential):
        find_credential(header, S + b"ccs_1", SECURE)


def test_two_authorization_headers() -> None:
    """Two Authorization headers are refused."""
    with pytest.raises(MalformedCredential):
        _ = arriving((b"authorization", b"Bearer a"), (b"authorization", b"Bearer a")).credential


def test_bearer_goes_before_a_cookie() -> None:
    """What was presented explicitly counts."""
    found = find_credential(b"Bearer abc", S + b"ccs_1", SECURE)
    assert found is not None
    assert found.carrier is Carrier.BEARER


@pytest.mark.parametrize(
    ("scheme", "host", "names"),
    [
        ("https", b"app.example", SECURE),
        ("wss", b"localhost", SECURE),
        ("http", b"localhost", DEVELOPMENT),
        ("http", b"LOCALHOST:8000", DEVELOPMENT),
        ("http", b"app.localhost:8000", DEVELOPMENT),
        ("http", b"127.0.0.1:8000", DEVELOPMENT),
        ("http", b"127.0.0.1:080", DEVELOPMENT),
        ("http", b"localhost:", DEVELOPMENT),
        ("http", b"[::1]:8000", DEVELOPMENT),
        ("ws", b"127.0.0.1", DEVELOPMENT),
        ("http", b"app.example", None),
        ("http", b"localhost.evil.example", None),
        ("http", b"127.evil.example", None),
        ("http", b"127.0.0.1.evil.example", None),
        ("http", b"localhost@evil.example", None),
        ("http", b"", None),
    ],
)
def test_cookie_names_by_place(scheme: str, host: bytes, names: object) -> None:
    """Prefixed names over TLS, plain ones on loopback, none anywhere else."""
    assert names_for(scheme, host) is names


@pytest.mark.parametrize("host", ["localhost:9000", "a.b.LOCALHOST:09000", "127.0.0.1:9000", "[::1]:9000"])
def test_cookie_names_by_port(host: str) -> None:
    """On loopback, at any other port than 8000 and 80, they end with it; over TLS they never do."""
    names = names_for("http", host.encode())
    assert names is not None
    assert (names.session, names.access) == ("coatcheck-9000", "coatcheck-access-9000")
    assert (names.refresh, names.secure) == ("coatcheck-refresh-9000", False)
    assert names_for("https", host.encode()) is SECURE
    for each in (names, SECURE, DEVELOPMENT):
        assert all(map(is_ours, (each.session, each.access, each.refresh)))
    assert not any(map(is_ours, ("coatcheck-", "coatcheck-theme", "xcoatcheck", "__Host-coatcheck-9000", "sessionid")))


def test_remembered_hosts_are_bounded() -> None:
    """However many Host headers clients make up, few are remembered, and each has its names."""
    for number in range(1000):
        assert names_for("http", b"%d.localhost" % number) is DEVELOPMENT
        assert names_for("http", b"%d.example" % number) is None
        assert len(over_http) <= 64


def test_cookie_attributes() -> None:
    """Every attribute is written out, and deletion repeats them."""
    assert set_cookie("n", "v", secure=True) == "n=v; Path=/; HttpOnly; SameSite=Lax; Secure"
    assert set_cookie("n", "v", secure=False, path="/auth/refresh", same_site="Strict", max_age=5) == (
        "n=v; Path=/auth/refresh; HttpOnly; SameSite=Strict; Max-Age=5"
    )
    assert delete_cookie("n", secure=True) == "n=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0"


@pytest.mark.parametrize("value", ["a;b", "a b", "a\r\nb", "a,b", 'a"b', "é"])
def test_cookie_values_are_plain(value: str) -> None:
    """Nothing that could end the value gets into a Set-Cookie header."""
    with pytest.raises(ValueError, match="unreserved"):
        set_cookie("n", value, secure=True)


def test_cookie_size() -> None:
    """A cookie that browsers would drop is refused before it is sent."""
    set_cookie("n", "v" * 4095, secure=True)
    with pytest.raises(ValueError, match="4096"):
        set_cookie("n", "v" * 4096, secure=True)


OWN = "https://app.example"


@pytest.mark.parametrize(
    ("site", "origin", "expected"),
    [
        ("same-origin", None, Provenance.OWN),
        ("same-origin", OWN, Provenance.OWN),
        ("none", None, Provenance.OWN),
        ("same-site", None, Provenance.FOREIGN),
        ("same-site", "https://sister.app.example", Provenance.FOREIGN),
        ("same-site", OWN, Provenance.FOREIGN),
        ("cross-site", None, Provenance.FOREIGN),
        ("cross-site", OWN, Provenance.FOREIGN),
        ("cross-site", "https://listed.example", Provenance.OWN),
        ("", None, Provenance.FOREIGN),
        ("Same-Origin", None, Provenance.FOREIGN),
        (None, OWN, Provenance.OWN),
        (None, "https://listed.example", Provenance.OWN),
        (None, "http://app.example", Provenance.FOREIGN),
        (None, "https://app.example:444", Provenance.FOREIGN),
        (None, "https://app.example.evil", Provenance.FOREIGN),
        (None, "null", Provenance.FOREIGN),
        (None, "", Provenance.FOREIGN),
        (None, None, Provenance.UNKNOWN),
    ],
)
def test_provenance(site: str | None, origin: str | None, expected: Provenance) -> None:
    """Sec-Fetch-Site decides, Origin where it is absent; same-site is not trusted."""
    headers = [(b"sec-fetch-site", site.encode())] if site is not None else []
    headers += [(b"origin", origin.encode())] if origin is not None else []
    assert arriving(*headers).provenance(("https://listed.example",)) is expected


def test_contradictory_headers_are_foreign() -> None:
    """Two different values of the same header count against the request."""
    twice = [(b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b"cross-site")]
    assert arriving(*twice).provenance(()) is Provenance.FOREIGN
    twice = [(b"origin", OWN.encode()), (b"origin", b"https://evil.example")]
    assert arriving(*twice).provenance(()) is Provenance.FOREIGN
