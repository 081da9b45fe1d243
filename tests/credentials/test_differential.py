"""Against PyJWT and joserfc: we accept nothing that they refuse, and refuse more only for reasons that have a name."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import joserfc.jwk
import joserfc.jws
import jwt as pyjwt
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from joserfc.errors import JoseError

from coatcheck.credentials import encoding, jwk, jws
from coatcheck.errors import InvalidCredential
from tests.credentials.support import CLAIMS, NOW, key, payload, token, tokens

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
ALGORITHMS = ("HS256", "ES256", "EdDSA", "RS256")
UNCHECKED = {f"verify_{name}": False for name in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")} | {
    "verify_signature": True
}
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.text(max_size=3), max_size=2)
)


def ours(text: str, algorithm: str) -> bool:
    try:
        tokens(algorithm).read(text, now=NOW)
    except InvalidCredential:
        return False
    return True


def by_pyjwt(text: str, algorithm: str) -> bool:
    try:
        pyjwt.decode(text, key(algorithm).verify_key.public, algorithms=[algorithm], options=UNCHECKED)
    except (pyjwt.PyJWTError, ValueError, RecursionError):  # some malformed input leaves it as a bare ValueError
        return False
    return True


def by_joserfc(text: str, algorithm: str) -> bool:
    document: dict[str, Any] = (
        {"kty": "oct", "k": encoding.encode(key(algorithm).private)}
        if isinstance(key(algorithm).private, bytes)
        else dict(jwk.export_public_jwk(key(algorithm).verify_key))
    )
    try:
        found = joserfc.jws.deserialize_compact(text, joserfc.jwk.import_key(document), algorithms=[algorithm])
        json.loads(found.payload)
    except (JoseError, ValueError, TypeError, RecursionError):
        return False
    return True


def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def unpadded(text: str) -> bytes | None:
    """The bytes of a segment, by a decoder of our own test; None when the spelling is not the canonical one."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text else None


def stricter(text: str, algorithm: str) -> str | None:
    """By which of our stricter rules, judged here independently, this token has to be refused."""
    if len(text) > jws.MAX_TOKEN:
        return "oversize"
    header, _, rest = text.partition(".")
    if header != key(algorithm).header:
        return "header spelled differently"
    body, _, signature = rest.partition(".")
    raw = unpadded(body)
    if raw is None or unpadded(signature) is None:
        return "base64url spelled differently"
    try:
        floats: list[str] = []
        members = json.loads(
            raw, object_pairs_hook=no_duplicates, parse_float=lambda text: floats.append(text) or float(text)
        )
        spelled = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
    except AssertionError:
        return "duplicate member"
    except (ValueError, RecursionError):
        return "not JSON"
    if any("e" in text.lower() for text in floats):
        return "number with an exponent"  # which the standard library spells 1e+16, and ours 1e16
    if spelled != raw:
        return "JSON spelled differently"
    if not isinstance(members, dict) or not typed(members):
        return "claims of the wrong type"
    return None


def typed(members: dict[str, Any]) -> bool:
    """The types of the claims, in plain Python."""

    def texts(value: object) -> bool:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)

    return (
        all(
            isinstance(members.get(name), str) and members[name]
            for name in ("iss", "aud", "sub", "sid", "jti", "client_id", "mode")
        )
        and all(type(members.get(name)) is int and members[name] >= 0 for name in ("epoch", "ver"))
        and all(members[name] < 2**63 for name in ("epoch", "ver"))
        and all(
            type(members.get(name)) is int and 0 <= members[name] <= 253402300799
            for name in ("iat", "exp", "auth_time")
        )
        and texts(members.get("amr"))
        and texts(members.get("roles"))
        and isinstance(members.get("claims", {}), dict)
    )


def compare(text: str, algorithm: str) -> str:
    """Assert that our answer is theirs or a stricter one, and say which it was."""
    we = ours(text, algorithm)
    they = by_pyjwt(text, algorithm), by_joserfc(text, algorithm)
    if we:
        assert they == (True, True), text
        return "accepted"
    if not any(they):
        return "refused by all"
    reason = stricter(text, algorithm)
    assert reason is not None, text
    return reason


@st.composite
def mutated_text(draw: st.DrawFn) -> tuple[str, str]:
    """A valid token with a few characters or segments changed."""
    algorithm = draw(st.sampled_from(ALGORITHMS))
    text = token(algorithm)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(text)))
        how = draw(st.sampled_from(["replace", "insert", "delete", "pad", "segments", "other signature"]))
        extra = draw(st.sampled_from("AQgwz09-_=+/. \n\té"))
        if how == "replace":
            text = text[:at] + extra + text[at + 1 :]
        elif how == "insert":
            text = text[:at] + extra + text[at:]
        elif how == "delete":
            text = text[:at] + text[at + draw(st.integers(1, 4)) :]
        elif how == "pad":
            text = text.replace(".", "=.", 1) if draw(st.booleans()) else text + "=="
        elif how == "segments":
            text = ".".join(draw(st.permutations(text.split("."))))
        else:
            text = text.rpartition(".")[0] + "." + token(draw(st.sampled_from(ALGORITHMS))).rpartition(".")[2]
    return text, algorithm


@st.composite
def mutated_payload(draw: st.DrawFn) -> tuple[str, str]:
    """A token that our key did sign, with a header or payload that our issuer would hardly write."""
    algorithm = draw(st.sampled_from(ALGORITHMS))
    members = payload()
    for name in draw(st.lists(st.sampled_from([*members, "new", "exp", "sub"]), max_size=2)):
        if draw(st.booleans()):
            members[name] = draw(SCALARS)
        else:
            members.pop(name, None)
    body = json.dumps(
        members,
        separators=draw(st.sampled_from([(",", ":"), (",", ":"), (",", ":"), (", ", ": ")])),
        ensure_ascii=draw(st.booleans()),
        sort_keys=draw(st.booleans()),
    )
    if draw(st.integers(0, 5)) == 0:
        body = body[:-1] + draw(st.sampled_from([',"sub":"x"}', ',"ver":3}', " }", "}}", "", "}\n", ',"z":1e400}']))
    header: dict[str, Any] = {"alg": algorithm, "typ": "at+jwt", "kid": key(algorithm).kid}
    segment = key(algorithm).header
    if draw(st.integers(0, 2)) == 0:
        header[draw(st.sampled_from(["alg", "typ", "kid", "jwk", "jku", "crit", "b64", "zip", "zzz"]))] = draw(
            st.one_of(SCALARS, st.sampled_from(["none", "HS256", "RS256", "JWT", ["exp"], False]))
        )
        segment = encoding.encode(json.dumps(header, separators=(",", ":")).encode())
    return jws.sign_compact(segment, body.encode("utf-8", "surrogatepass"), key(algorithm).sign), algorithm


SEARCH = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SEARCH
@given(mutated_text())
def test_changed_tokens(case: tuple[str, str]) -> None:
    """Whatever is done to a valid token's text: accepted by us means accepted by both."""
    event(compare(*case))


@SEARCH
@given(mutated_payload())
def test_strange_tokens_with_a_good_signature(case: tuple[str, str]) -> None:
    """Whatever our key has signed: accepted by us means accepted by both, refused by us alone has a name."""
    event(compare(*case))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_our_tokens_are_readable_by_others(algorithm: str) -> None:
    """What we issue is accepted by both peers, claims and all."""
    assert compare(token(algorithm), algorithm) == "accepted"
    public = key(algorithm).verify_key.public
    read = pyjwt.decode(
        token(algorithm),
        public,
        algorithms=[algorithm],
        audience=CLAIMS.aud,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert read["sub"] == CLAIMS.sub
    assert pyjwt.get_unverified_header(token(algorithm))["typ"] == "at+jwt"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_stricter_rule_is_met(algorithm: str) -> None:
    """Each named category has an example that a peer accepts, so that the names mean something."""
    sign = key(algorithm).sign
    good = encoding.decode(token(algorithm).split(".")[1])
    header = key(algorithm).header
    respelled = encoding.encode(json.dumps({"kid": key(algorithm).kid, "alg": algorithm}).encode())
    examples = {
        "oversize": jws.sign_compact(header, json.dumps(payload(x="x" * 9000)).encode(), sign),
        "header spelled differently": jws.sign_compact(respelled, good, sign),
        "duplicate member": jws.sign_compact(header, good[:-1] + b',"sub":"x"}', sign),
        "JSON spelled differently": jws.sign_compact(header, json.dumps(payload()).encode(), sign),
        "number with an exponent": jws.sign_compact(header, good[:-1] + b',"new":1e+16}', sign),
        "claims of the wrong type": jws.sign_compact(
            header, json.dumps(payload(roles="admin"), separators=(",", ":"), ensure_ascii=False).encode(), sign
        ),
    }
    assert {name: compare(text, algorithm) for name, text in examples.items()} == {name: name for name in examples}
