"""Published test vectors on our own path: keys by `jwk`, headers by `trust_header`, tokens by `verify_compact`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from coatcheck.credentials import jwk, jws
from coatcheck.credentials.jwk import VerifyKey
from coatcheck.credentials.keyring import TrustedKeys
from coatcheck.errors import ConfigurationError, ForgedCredential, InvalidCredential, InvalidKey
from tests.credentials.support import NOW, load

ANY_TYPE = (None, "JWT", *jws.ACCESS_TYPES)
"""These tokens are no access tokens, so their `typ` may be anything or absent."""

OVERRIDES = load("strict_overrides.json")


def keys_of(group: Mapping[str, Any]) -> TrustedKeys:
    """Import what the group says to verify with. A key without `alg` is bound to the one its tokens name."""
    document = group.get("public") or group["private"]
    if "keys" in document:
        return TrustedKeys(jwk.import_jwk_set(json.dumps(document), public_only=False))
    unnamed = {"RSA": "RS256", "EC": "ES256", "oct": "HS256"}[document["kty"]] if "alg" not in document else None
    return TrustedKeys([jwk.import_jwk(json.dumps(document), algorithm=unnamed)])


def accepted(group: Mapping[str, Any], token: object) -> bytes | None:
    """The payload when the token is accepted, None when anything on the way refuses it."""
    text = token if isinstance(token, str) else json.dumps(token)
    try:
        keys = keys_of(group)
    except InvalidKey:
        return None
    with suppress(ConfigurationError):  # the header stays unknown, and verify_compact has to refuse it
        keys.trust_header(text.split(".")[0], types=ANY_TYPE)
    try:
        return jws.verify_compact(text, keys.find, now=NOW)
    except InvalidCredential:
        return None


def cases(name: str, member: str) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for group in load(name)["testGroups"]:
        for case in group["tests"]:
            if member in case:
                yield group, case


def test_json_web_signature() -> None:
    """All 401 Wycheproof JWS cases come out as a strict verifier must have them: 42 accepted, 359 refused."""
    overrides = OVERRIDES["json_web_signature_test"]
    results = {}
    wrong = []
    for group, case in cases("wycheproof_json_web_signature_test.json", "jws"):
        number = case["tcId"]
        want = overrides.get(str(number), {}).get("strict", case["result"]) == "valid"
        results[number] = accepted(group, case["jws"]) is not None
        if results[number] != want:
            wrong.append((number, case["comment"]))
    assert wrong == []
    assert len(results) == 401
    assert sum(results.values()) == 42
    assert set(overrides) == {"346", "347", "350", "351", "367", "370", "372", "373"}


def test_json_web_key() -> None:
    """All 26 Wycheproof key-set cases come out as labelled, the ROCA key among them."""
    results = {
        case["tcId"]: (accepted(group, case["jws"]) is not None, case["result"] == "valid")
        for group, case in cases("wycheproof_json_web_key_test.json", "jws")
    }
    assert [number for number, (got, want) in results.items() if got != want] == []
    assert len(results) == 26
    assert sum(got for got, _ in results.values()) == 5


def test_json_web_key_sets_are_refused_for_what_is_wrong_with_them() -> None:
    """A bad key set is refused when it is imported, with a line that names the fault."""
    faults = {
        1: "mixes shared secrets",
        4: "base64url",  # its second key is not even canonical; test_jwk has a duplicate kid that is
        6: "RSA1_5",
        7: "ROCA",
        8: "2048",
        9: "exponent",
        10: "at least 32 bytes",
        11: "at least 48 bytes",
        12: "at least 64 bytes",
        16: "empty",
        17: "empty",
        18: "empty",
        19: "ES521",
        20: "ES224",
        21: "use 'enc'",
        22: "not on P-256",
        23: "P-384",
        24: "kty",
        25: "A256GCM",
        26: "A256KW",
    }
    seen = set()
    for group, case in cases("wycheproof_json_web_key_test.json", "jws"):
        if case["tcId"] in faults:
            with pytest.raises(InvalidKey, match=faults[case["tcId"]]):
                keys_of(group)
            seen.add(case["tcId"])
    assert seen == set(faults)


def test_json_web_crypto() -> None:
    """The older mixed file: all 49 JWS cases as labelled, all 34 JWE cases refused."""
    results = {
        case["tcId"]: (accepted(group, case["jws"]) is not None, case["result"] == "valid")
        for group, case in cases("wycheproof_json_web_crypto_test.json", "jws")
    }
    assert [number for number, (got, want) in results.items() if got != want] == []
    assert len(results) == 49
    encrypted = list(cases("wycheproof_json_web_crypto_test.json", "jwe"))
    assert len(encrypted) == 34
    assert all(accepted(group, case["jwe"]) is None for group, case in encrypted)


def test_json_web_encryption() -> None:
    """All 139 JWE tokens are refused, whatever their label: with their own key, and with a good one."""
    good = next(group for group, _ in cases("wycheproof_json_web_signature_test.json", "jws"))
    count = 0
    for group, case in cases("wycheproof_json_web_encryption_test.json", "jwe"):
        assert accepted(group, case["jwe"]) is None
        assert accepted(good, case["jwe"]) is None
        count += 1
    assert count == 139


def signature_holds(key: VerifyKey, case: Mapping[str, Any]) -> bool:
    try:
        key.verify(bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
    except ForgedCredential:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "algorithm", "total", "valid"),
    [
        ("wycheproof_ecdsa_secp256r1_sha256_p1363_test.json", "ES256", 262, 173),
        ("wycheproof_ecdsa_secp384r1_sha384_p1363_test.json", "ES384", 280, 193),
        ("wycheproof_ed25519_test.json", "EdDSA", 151, 88),
        ("wycheproof_ed25519_test.json", "Ed25519", 151, 88),
    ],
)
def test_raw_signatures(name: str, algorithm: str, total: int, valid: int) -> None:
    """Signatures over any bytes hold exactly where they are labelled valid, with the key from PEM and from JWK."""
    results = []
    for group in load(name)["testGroups"]:
        keys = [jwk.import_public_pem(group["publicKeyPem"].encode(), algorithm=algorithm)]
        if "publicKeyJwk" in group:
            keys.append(jwk.import_jwk(group["publicKeyJwk"], algorithm=algorithm))
            assert jwk.thumbprint(keys[0].public) == jwk.thumbprint(keys[1].public)
        for case in group["tests"]:
            assert {signature_holds(key, case) for key in keys} == {case["result"] == "valid"}, case
            results.append(case["result"] == "valid")
    assert (len(results), sum(results)) == (total, valid)


def test_rfc7520() -> None:
    """The four examples of RFC 7520 section 4 verify, each with the key bound to the algorithm of the example."""
    document = load("rfc7520_jws.json")
    files = {"ES512": "RFC7520-EC-public.json", "HS256": "RFC7520-oct-sig.json"}
    seen = []
    for case in document["tests"]:
        name = case["protected"]["alg"]
        keys = TrustedKeys([jwk.import_jwk(load(files.get(name, "RFC7520-RSA-public.json")), algorithm=name)])
        keys.trust_header(case["compact"].split(".")[0], types=ANY_TYPE)
        assert jws.verify_compact(case["compact"], keys.find, now=NOW) == document["payload"].encode()
        seen.append(name)
    assert seen == ["RS256", "PS384", "ES512", "HS256"]


def test_rfc7797_is_refused() -> None:
    """`b64` and `crit` are refused at configuration time, and so is such a token; its plain neighbour verifies."""
    shared = next(case for case in load("rfc_appendix_jws.json") if case["id"] == "RFC7515-A.1")["jwk"]
    keys = TrustedKeys([jwk.import_jwk(shared, algorithm="HS256")])
    cases = load("rfc7797_jws.json")["tests"]
    seen = 0
    for case in cases:
        flat = case["flattened_json"]
        forms = [f"{flat['protected']}.{flat['payload']}.{flat['signature']}"]
        forms += [case["compact"]] if "compact" in case else []
        if "b64" in case["protected"]:
            with pytest.raises(ConfigurationError, match="not allowed"):
                keys.trust_header(flat["protected"], types=ANY_TYPE)
            for token in forms:
                with pytest.raises(InvalidCredential):
                    jws.verify_compact(token, keys.find, now=NOW)
                seen += 1
        else:
            keys.trust_header(flat["protected"], types=ANY_TYPE)
            assert jws.verify_compact(case["compact"], keys.find, now=NOW) == b"$.02"
    assert seen == 6


def test_rfc_appendix() -> None:
    """RFC 7515 A.1 and A.3 and RFC 8037 A.4 verify, white space in the header and all; A.5 (`none`) does not."""
    seen = {}
    for case in load("rfc_appendix_jws.json"):
        if case["jwk"] is None:
            with pytest.raises(InvalidKey, match="unknown alg 'none'"):
                jwk.import_jwk({"kty": "oct", "k": "A" * 43, "alg": case["alg"]})
            group = {"private": {"kty": "oct", "k": "A" * 43, "alg": "HS256"}}
        else:
            group = {"private": {**case["jwk"], "alg": case["alg"]}}
        seen[case["id"]] = accepted(group, case["jws"]) is not None
    assert seen == {"RFC7515-A.1": True, "RFC7515-A.3": True, "RFC8037-A.4": True, "RFC7515-A.5": False}


def test_rfc8037_names_are_not_interchangeable() -> None:
    """The same key bound to `Ed25519` refuses the token that says `EdDSA` (RFC 9864)."""
    case = next(case for case in load("rfc_appendix_jws.json") if case["alg"] == "EdDSA")
    assert accepted({"public": {**case["jwk"], "alg": "EdDSA"}}, case["jws"]) is not None
    assert accepted({"public": {**case["jwk"], "alg": "Ed25519"}}, case["jws"]) is None


def test_rfc7638_thumbprint() -> None:
    """The example of RFC 7638 section 3.1."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjh"
        "Mstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvR"
        "L5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = jwk.import_jwk({"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256"})
    assert key.kid == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
