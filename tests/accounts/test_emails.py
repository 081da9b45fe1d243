"""One canonical form of an e-mail address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.accounts import canonical
from coatcheck.errors import InvalidEmail


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("zoë@example.com", "ZOE\u0308@example.com"),
        ("straße@example.com", "STRASSE@example.com"),
        ("ß\u0301@example.com", "SS\u0301@example.com"),
        ("ﬁne@example.com", "FINE@example.com"),
        ("ａda@example.com", "ada@example.com"),
        ("ada@bücher.example", "ada@XN--BCHER-KVA.example"),
        ("ada@example。com", "ada@example.com"),
    ],
)
def test_spellings_of_one_address(one: str, other: str) -> None:
    """Spellings that differ in case, composition, compatibility characters or IDNA are one address."""
    assert canonical(one).key == canonical(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [("ada@example.com", "ada+x@example.com"), ("a.da@example.com", "ada@example.com"), ("ada@a.test", "ada@b.test")],
)
def test_different_addresses(one: str, other: str) -> None:
    """No provider's rules are guessed: dots and tags make other addresses."""
    assert canonical(one).key != canonical(other).key


def test_mail_goes_where_it_was_meant() -> None:
    """The written form keeps the local part's case and letters."""
    assert canonical("Stra\u00dfe.ﬁ@EXAMPLE.com").written == "Stra\u00dfe.ﬁ@example.com"


@pytest.mark.parametrize(
    "email",
    [
        *("", "@", "ada", "ada@", "@example.com", "a@b@example.com", "Ada <ada@example.com>", '"a b"@example.com'),
        *(
            "ada@localhost",
            "ada@example",
            "ada@example.local",
            "ada@[192.0.2.1]",
            "ada@-example.com",
            "ada@example..com",
        ),
        *("a..b@example.com", ".a@example.com", "a b@example.com", "ada@exa mple.com", "a＠b@example.com"),
        *("ada@example.com\n", "ada@example.com\0", "ada\r\nBcc: x@example.com", "ada\u202egro@example.com"),
        *("\ud800@example.com", "\u0301a@example.com"),
        pytest.param("a@" + ".".join("b" * 63 for _ in range(4)) + ".com", id="long"),
        pytest.param("a" * 100_000 + "@example.com", id="huge"),
    ],
)
def test_not_an_address(email: str) -> None:
    """What is not one address is refused, and the refusal does not repeat it."""
    with pytest.raises(InvalidEmail) as caught:
        canonical(email)
    assert len(email) < 4 or email not in str(caught.value)


@given(st.one_of(st.text(), st.text(max_size=20).map(lambda local: f"{local}@example.com"), st.emails()))
def test_key_is_a_fixed_point(email: str) -> None:
    """Any text is refused or has a key, which is its own key and holds one @."""
    try:
        key = canonical(email).key
    except InvalidEmail:
        return
    assert canonical(key).key == key
    assert key.count("@") == 1
    assert key.isprintable()


@given(st.text(st.characters(categories=["L", "M", "N"]), min_size=1, max_size=12))
def test_case_never_makes_another_address(local: str) -> None:
    """Upper and lower case of a local part are one address wherever both are addresses."""
    keys = set()
    for form in (local, local.casefold()):
        try:
            keys.add(canonical(f"{form}@example.com").key)
        except InvalidEmail:
            return
    assert len(keys) == 1
