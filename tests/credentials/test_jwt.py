"""Access tokens: what we issue, and that nothing but what we issue is read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.credentials import encoding, jws
from coatcheck.credentials.jwt import AccessClaims, inspect
from coatcheck.errors import ConfigurationError, ForgedCredential, InvalidCredential, MalformedCredential
from tests.credentials.support import CLAIMS, ISSUING, NOW, key, payload, segment, signed, token, tokens

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def read(text: str, algorithm: str = "HS256") -> AccessClaims:
    return tokens(algorithm).read(text, now=NOW)


def compact(value: Any) -> bytes:
    """JSON as our issuer spells it."""
    return msgspec.json.encode(value)


@pytest.mark.parametrize("algorithm", ISSUING)
def test_round_trip(algorithm: str) -> None:
    """What is issued is read back, and the token has the form of RFC 9068."""
    text = token(algorithm)
    assert read(text, algorithm) == CLAIMS
    header, body, _ = text.split(".")
    assert json.loads(encoding.decode(header)) == {"alg": algorithm, "typ": "at+jwt", "kid": key(algorithm).kid}
    members = json.loads(encoding.decode(body))
    assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} <= members.keys()
    assert members == json.loads(compact(CLAIMS))


def test_empty_claims_are_left_out() -> None:
    """`claims` is only there when there are some; an explicit empty object reads as none."""
    bare = msgspec.structs.replace(CLAIMS, claims={})
    text = tokens("HS256").issue(bare, now=NOW)
    assert b"claims" not in encoding.decode(text.split(".")[1])
    assert read(text) == bare
    assert read(signed(compact(payload(claims={})))) == bare


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_whatever_is_issued_is_read(claims: dict[str, Any]) -> None:
    """Any JSON that an application puts into the claims comes back equal: our own spelling is always canonical."""
    given_claims = msgspec.structs.replace(CLAIMS, claims=claims)
    assert read(tokens("HS256").issue(given_claims, now=NOW)) == given_claims


def damaged(text: str) -> Iterator[str]:
    for index, character in enumerate(text):
        for bit in range(8):
            yield text[:index] + chr(ord(character) ^ (1 << bit)) + text[index + 1 :]
        yield text[:index]
        yield text[index + 1 :]
        yield text[:index] + text[index + 1 :]
    for extra in ALPHABET + "=. \n\0\ud800é":
        yield text + extra
        yield extra + text


def flipped_bytes(text: str) -> Iterator[str]:
    """Every bit of what the three segments encode, spelled canonically again."""
    segments = text.split(".")
    for part, spelled in enumerate(segments):
        raw = encoding.decode(spelled)
        for index in range(len(raw)):
            for bit in range(8):
                changed = raw[:index] + bytes([raw[index] ^ (1 << bit)]) + raw[index + 1 :]
                yield ".".join([*segments[:part], encoding.encode(changed), *segments[part + 1 :]])


@pytest.mark.parametrize("algorithm", ISSUING)
def test_every_bit_counts(algorithm: str) -> None:
    """Every single-bit flip, of text or of bytes, every truncation and every extension is refused."""
    text = token(algorithm)
    refused = 0
    for wrong in (*damaged(text), *flipped_bytes(text)):
        if wrong == text:
            continue
        with pytest.raises(InvalidCredential):
            read(wrong, algorithm)
        refused += 1
    assert refused > 15 * len(text)


WRONG: dict[str, tuple[str, ...]] = {
    "text": ("null", "true", "0", "1.5", '""', "[]", '["a"]', "{}", '{"a":"b"}'),
    "date": (
        "null",
        "true",
        "false",
        "-1",
        "1.0",
        "1.5",
        "1e3",
        '"1"',
        '""',
        "[]",
        "[1]",
        "{}",
        "253402300800",
        "9" * 30,
    ),
    "counter": ("null", "true", "false", "-1", "0.0", "1.5", '"1"', "[]", "{}", "9223372036854775808"),
    "list": ("null", "true", "1", '"pwd"', '""', "{}", "[1]", "[null]", '[["a"]]', '["a",{}]'),
    "object": ("null", "true", "1", '"x"', "[]", "[{}]"),
    "optional text": ("null", "true", "0", "1.5", "[]", '["a"]', "{}"),
    "named object": ("null", "true", "1", '"x"', "[]", '{"sub":""}', '{"jkt":7}', '{"sub":null,"jkt":null}'),
}
KINDS = {
    **dict.fromkeys(("iss", "aud", "sub", "sid", "jti", "client_id", "mode"), "text"),
    **dict.fromkeys(("iat", "exp", "auth_time", "nbf"), "date"),
    **dict.fromkeys(("epoch", "ver"), "counter"),
    **dict.fromkeys(("amr", "roles"), "list"),
    "claims": "object",
    "kind": "optional text",
    "scope": "optional text",
    "act": "named object",
    "cnf": "named object",
}
OPTIONAL = ("claims", "nbf", "kind", "scope", "act", "cnf")


def spliced(name: str, text: str | None) -> bytes:
    """Our payload with the JSON text of one claim replaced, or left out."""
    parts = {member: compact(value).decode() for member, value in payload().items()}
    if text is None:
        del parts[name]
    else:
        parts[name] = text
    return ("{" + ",".join(f'"{member}":{value}' for member, value in parts.items()) + "}").encode()


def test_the_table_of_claims_is_complete() -> None:
    """Every claim has a kind, so none is forgotten below."""
    assert set(KINDS) == set(AccessClaims.__struct_fields__)
    assert read(signed(spliced("iss", '"x"'))).iss == "x"


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, kind in KINDS.items() for text in WRONG[kind]])
def test_wrong_types(name: str, text: str) -> None:
    """A claim of the wrong type is refused though properly signed, and the log names the claim, not its value."""
    with pytest.raises(MalformedCredential, match=rf"wrong type: {name}") as caught:
        read(signed(spliced(name, text)))
    assert CLAIMS.sub not in caught.value.reason


@pytest.mark.parametrize("name", [name for name in KINDS if name not in OPTIONAL])
def test_missing_claims(name: str) -> None:
    """Every claim is required but those that a plain login need not have."""
    with pytest.raises(MalformedCredential, match=rf"missing.*: {name}"):
        read(signed(spliced(name, None)))


GOOD = compact(CLAIMS)
NOT_CANONICAL: dict[str, bytes] = {
    "duplicate": GOOD[:-1] + b',"sub":"someone else"}',
    "duplicate of the same value": GOOD[:-1] + b',"mode":"jwt"}',
    "duplicate first": b'{"sub":"someone else",' + GOOD[1:],
    "duplicate by escape": GOOD[:-1] + b',"s\\u0075b":"someone else"}',
    "duplicate in claims": GOOD.replace(b'"plan":"gold"', b'"plan":"gold","plan":"gold"'),
    "duplicate deep in claims": GOOD.replace(b'"seats":5', b'"seats":5,"seats":6'),
    "duplicate in an unknown claim": GOOD[:-1] + b',"new":[{"a":1,"a":2}]}',
    "duplicate unknown claim": GOOD[:-1] + b',"new":1,"new":1}',
    "white space": json.dumps(json.loads(GOOD)).encode(),
    "leading space": b" " + GOOD,
    "trailing newline": GOOD + b"\n",
    "trailing bytes": GOOD + b"{}",
    "trailing zero": GOOD + b"\0",
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "two documents": GOOD + GOOD,
    "escaped letter": GOOD.replace(b'"pwd"', b'"\\u0070wd"'),
    "escaped slash": GOOD.replace(b"https://", b"https:\\/\\/"),
    "other float": GOOD.replace(b"0.25", b"0.250"),
    "float with exponent": GOOD.replace(b"0.25", b"2.5e-1"),
    "minus zero": GOOD.replace(b'"epoch":0', b'"epoch":-0'),
    "NaN": GOOD.replace(b"0.25", b"NaN"),
    "Infinity": GOOD.replace(b"0.25", b"Infinity"),
    "minus infinity": GOOD.replace(b"0.25", b"-Infinity"),
    "overflow in claims": GOOD.replace(b"0.25", b"1e999"),
    "overflow in an unknown claim": GOOD[:-1] + b',"new":1e999}',
    "NaN in an unknown claim": GOOD[:-1] + b',"new":NaN}',
    "broken UTF-8": GOOD.replace("ü".encode(), b"\xff"),
    "broken UTF-8 in an unknown claim": GOOD[:-1] + b',"new":"\xff"}',
    "overlong UTF-8": GOOD.replace(b"gold", b"\xc0\xaf"),
    "lone surrogate": GOOD.replace(b"gold", b"\\ud800"),
    "encoded surrogate": GOOD.replace(b"gold", b"\xed\xa0\x80"),
    "control character": GOOD.replace(b"gold", b"go\nld"),
    "deep nesting": GOOD.replace(b"0.25", b"[" * 2000 + b"]" * 2000),
    "deep nesting in an unknown claim": GOOD[:-1] + b',"new":' + b"[" * 2000 + b"]" * 2000 + b"}",
    "array": b"[" + GOOD + b"]",
    "null": b"null",
    "string": b'"' + b"a" * 30 + b'"',
    "empty": b"",
    "truncated": GOOD[:-1],
    "trailing comma": GOOD[:-1] + b",}",
    "single quotes": GOOD.replace(b'"', b"'"),
    "comment": GOOD[:-1] + b"/**/}",
    "UTF-16": GOOD.decode().encode("utf-16"),
}


@pytest.mark.parametrize("case", NOT_CANONICAL)
def test_other_spellings_of_a_payload(case: str) -> None:
    """Ambiguous, non-canonical or broken JSON is refused though properly signed."""
    assert NOT_CANONICAL[case] != GOOD
    with pytest.raises(MalformedCredential):
        read(signed(NOT_CANONICAL[case]))


@pytest.mark.parametrize("extra", [b',"new":{"a":[1,2.5,null,"\xc3\xbc"]}}', b',"x_scope":"a b"}', b',"nbf":0}'])
def test_claims_of_a_newer_version_are_allowed(extra: bytes) -> None:
    """Unknown claims do not hurt, so that versions can run side by side during an upgrade."""
    assert read(signed(GOOD[:-1] + extra)) == CLAIMS


def test_order_of_members_is_free() -> None:
    """A newer version may write its claims in another order."""
    assert read(signed(compact(dict(reversed(payload().items()))))) == CLAIMS


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {1: 2}, {1, 2}, b"x", object(), "\ud800", CLAIMS])
def test_claims_that_are_not_json_are_not_issued(value: object) -> None:
    """Rather than sign something else than what the application said (NaN as null, say)."""
    for claims in ({"a": value}, {"a": [{"b": value}]}):
        with pytest.raises(ConfigurationError, match="must be JSON"):
            tokens("HS256").issue(msgspec.structs.replace(CLAIMS, claims=claims), now=NOW)


def test_endless_claims_are_not_issued() -> None:
    """A structure that holds itself is refused, not followed."""
    loop: dict[str, Any] = {}
    loop["a"] = loop
    with pytest.raises(ConfigurationError, match="must be JSON"):
        tokens("HS256").issue(msgspec.structs.replace(CLAIMS, claims=loop), now=NOW)


def test_size() -> None:
    """A token of 8192 characters is read; a longer one is neither issued nor looked at."""

    def issue(size: int) -> str:
        return tokens("HS256").issue(msgspec.structs.replace(CLAIMS, claims={"x": "x" * size}), now=NOW)

    room = next(size for size in range(5000, 7000) if len(issue(size)) >= jws.MAX_TOKEN - 1)
    assert read(issue(room)).claims == {"x": "x" * room}
    with pytest.raises(ConfigurationError, match="keep fewer"):
        issue(room + 10)
    huge = signed(compact(payload(claims={"x": "x" * 10_000})))
    with pytest.raises(MalformedCredential, match="longer than 8192"):
        read(huge)
    assert inspect(huge).problems == ("it is longer than 8192 characters",)


def test_inspect() -> None:
    """A token is shown with what is odd about it; nothing is verified and nothing raises."""
    shown = inspect(token("ES256"))
    assert shown.header == {"alg": "ES256", "typ": "at+jwt", "kid": key("ES256").kid}
    assert shown.payload == json.loads(GOOD)
    assert shown.problems == ()
    for text, problem in {
        "": "1 segments",
        "a.b": "2 segments",
        token("ES256") + ".x": "4 segments",
        "ccs_x": "header",
        segment("{}") + "." + segment("{") + ".AAAA": "payload cannot be read",
        segment("[]") + "." + segment("{}") + ".AAAA": "not a JSON object",
        segment('{"a":1,"a":2}') + "." + segment("{}") + ".AAAA": "twice",
        segment("{}") + "." + segment("[" * 3000) + ".AAAA": "deeply",
        segment("{}") + "." + segment('{"a":"\\ud800"}') + ".AAAA": "UTF-8",
        segment("{}") + "." + segment("{}") + ".": "no signature",
        segment("{}") + "." + segment("{}") + ".A=": "signature is not canonical",
        "é.\ud800.\0": "base64url",
    }.items():
        assert problem in " ".join(inspect(text).problems), text


def test_refusals_do_not_quote_the_token() -> None:
    """The reason is for the log; the token is not in it."""
    for text in (token("HS256")[:-1], token("HS256") + ".", "x" * 40, signed(b"secret payload"), token("RS256")):
        with pytest.raises((MalformedCredential, ForgedCredential)) as caught:
            read(text)
        assert not any(part in str(caught.value) for part in text.split(".") if part)
        assert "secret payload" not in str(caught.value)
