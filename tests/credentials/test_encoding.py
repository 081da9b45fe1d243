"""base64url and JSON: one spelling per value."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.credentials import encoding
from coatcheck.errors import MalformedCredential

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary(max_size=200))
def test_round_trip(raw: bytes) -> None:
    """Encoding agrees with the standard library and decoding gives the bytes back."""
    text = encoding.encode(raw)
    assert text == base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    assert encoding.decode(text) == raw


@given(st.one_of(st.text(alphabet=ALPHABET + "=+/ \n\té\udc80", max_size=12), st.text(max_size=12)))
def test_only_what_encode_writes_is_decoded(text: str) -> None:
    """A text is decoded exactly when encoding the result gives the same text."""
    try:
        raw = encoding.decode(text)
    except MalformedCredential:
        padded = text + "=" * (-len(text) % 4)
        if text.isascii() and set(text) <= set(ALPHABET) and len(text) % 4 != 1:
            assert encoding.encode(base64.urlsafe_b64decode(padded)) != text
    else:
        assert encoding.encode(raw) == text


def test_every_pair_and_triple_ending() -> None:
    """Of all two-character texts 4 x 64 decode, of all endings of a triple 16: those whose unused bits are zero."""

    def decodes(text: str) -> bool:
        try:
            encoding.decode(text)
        except MalformedCredential:
            return False
        return True

    assert sum(decodes(a + b) for a in ALPHABET for b in ALPHABET) == 4 * 64
    assert sum(decodes("AA" + c) for c in ALPHABET) == 16
    assert sum(decodes("AAA" + c) for c in ALPHABET) == 64
    assert not any(decodes(a) for a in ALPHABET)


@pytest.mark.parametrize(
    "text",
    [
        "QQ==",
        "QUI=",
        "QR",
        "Q",
        "QUJDQ",
        "QU I",
        "QUI\n",
        "\nQUI",
        "QU+/",
        "QUI!",
        "QÜI",
        "\uff31\uff35\uff29",
        "QU\0I",
        "====",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    """Padding, white space, foreign characters, non-zero trailing bits and other scripts are refused."""
    with pytest.raises(MalformedCredential, match="base64url"):
        encoding.decode(text)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a":1,"a":1}', "twice"),
        (b'{"x":{"a":1,"b":2,"a":3}}', "twice"),
        (b'[{"a":1,"\\u0061":2}]', "twice"),
        (b"[NaN]", "not a JSON number"),
        (b"[-Infinity]", "not a JSON number"),
        (b"[1e999]", "too large"),
        (b"{} x", "Extra data"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'"\xff"', "UTF-8"),
        (b'"\\ud800"', "UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"", "not JSON"),
        (b"[" + b"9" * 5000 + b"]", "digits"),
    ],
)
def test_json_of_others_is_read_strictly(data: bytes, why: str) -> None:
    """Ambiguous or endless JSON raises ValueError with a reason."""
    with pytest.raises(ValueError, match=why):
        encoding.parse_json(data)


def test_json_of_others_may_be_spelled_freely() -> None:
    """White space and member order do not matter."""
    assert encoding.parse_json(b' {"b" : [1, 2.5, null],\n "a":"\\u00e9"} ') == {"a": "é", "b": [1, 2.5, None]}
