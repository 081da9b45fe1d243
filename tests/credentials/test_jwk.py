"""Keys from outside: what is refused and why, what survives a round trip."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from coatcheck.credentials import encoding, jwk
from coatcheck.credentials.algorithms import ALGORITHMS
from coatcheck.credentials.keyring import SigningKey
from coatcheck.credentials.roca import is_roca_weak
from coatcheck.errors import InvalidKey
from tests.credentials.support import key, load

OCT = {"kty": "oct", "k": encoding.encode(b"s" * 32), "alg": "HS256", "kid": "one"}


def public(name: str, **changes: Any) -> dict[str, Any]:
    """The public JWK of our key, with changes; None removes a member."""
    jwk_ = jwk.export_public_jwk(key(name).verify_key) | changes
    return {member: value for member, value in jwk_.items() if value is not None}


def number(value: int) -> str:
    return encoding.encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@pytest.mark.parametrize("name", [name for name, row in ALGORITHMS.items() if not row.symmetric])
def test_public_round_trip(name: str) -> None:
    """An exported key imports as itself and verifies what its private half signs."""
    signing = key(name)
    exported = public(name)
    assert {"use": "sig", "alg": name, "kid": signing.kid}.items() <= exported.items()
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & exported.keys()
    imported = jwk.import_jwk(json.dumps(exported).encode())
    assert imported == signing.verify_key
    imported.verify(b"m", signing.sign(b"m"))
    assert imported.kid == jwk.thumbprint(imported.public)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_private_round_trip(name: str) -> None:
    """What is written for sealing comes back as the same key."""
    signing = key(name)
    again = SigningKey.from_bytes(signing.to_bytes(), created=0.0, signs_from=0.0)
    assert again == signing
    again.verify_key.verify(b"m", signing.sign(b"m"))
    signing.verify_key.verify(b"m", again.sign(b"m"))


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no alg": (public("RS256", alg=None), "does not say its alg"),
    "no alg, EdDSA or Ed25519": (public("EdDSA", alg=None), "does not say its alg"),
    "alg none": (public("RS256", alg="none"), "unknown alg"),
    "alg is a number": (public("RS256", alg=256), "unknown alg"),
    "alg for encryption": (public("RS256", alg="RSA-OAEP"), "unknown alg"),
    "alg of another type": (public("RS256", alg="ES256"), "kty"),
    "alg of another curve": (public("ES256", alg="ES384"), "crv"),
    "symmetric alg on a public key": (public("RS256", alg="HS256"), "kty"),
    "asymmetric alg on a secret": ({**OCT, "alg": "RS256"}, "kty"),
    "kty in another case": (public("ES256", kty="ec"), "kty"),
    "kty missing": (public("ES256", kty=None), "kty"),
    "crv missing": (public("ES256", crv=None), "crv"),
    "crv on RSA": (public("RS256", crv="P-256"), "crv"),
    "Ed448": (public("EdDSA", crv="Ed448"), "crv"),
    "X25519": (public("EdDSA", crv="X25519"), "crv"),
    "use enc": (public("RS256", use="enc"), "use 'enc'"),
    "use null": (public("RS256") | {"use": None}, "use None"),
    "key_ops sign only": (public("RS256", key_ops=["sign"]), "do not allow"),
    "key_ops empty": (public("RS256", key_ops=[]), "do not allow"),
    "key_ops text": (public("RS256", key_ops="verify"), "sign and verify only"),
    "key_ops twice": (public("RS256", key_ops=["verify", "verify"]), "each once"),
    "key_ops with more": (public("RS256", key_ops=["verify", "encrypt"]), "sign and verify only"),
    "key_ops of numbers": (public("RS256", key_ops=[1]), "list of strings"),
    "private member": (public("ES256", d="AAAA"), "private members"),
    "one prime": (public("RS256", q="AQAB"), "private members"),
    "a secret beside": (public("RS256", k="AQAB"), "shared secret"),
    "kid empty": (public("RS256", kid=""), "kid"),
    "kid a number": (public("RS256", kid=7), "kid"),
    "kid too long": (public("RS256", kid="k" * 257), "kid"),
    "n missing": (public("RS256", n=None), "'n'"),
    "n a number": (public("RS256", n=5), "'n'"),
    "n empty": (public("RS256", n=""), "'n' is empty"),
    "n padded": (public("RS256", n=public("RS256")["n"] + "=="), "base64url"),
    "n with a leading zero": (public("RS256", n="AA" + public("RS256")["n"]), "'n'"),
    "n in standard base64": (public("RS256", n="+" + public("RS256")["n"][1:]), "base64url"),
    "n even": (public("RS256", n=number((1 << 2048) - 2)), "RSA"),
    "RSA 2047": (public("RS256", n=number((1 << 2047) - 1)), "2048"),
    "RSA 8193": (public("RS256", n=number((1 << 8193) - 1)), "8192"),
    "e one": (public("RS256", e="AQ"), "exponent"),
    "e three": (public("RS256", e="Aw"), "exponent"),
    "e even": (public("RS256", e=number(65538)), "exponent"),
    "e zero": (public("RS256", e="AA"), "'e'"),
    "e huge": (public("RS256", e=number((1 << 300) - 1)), "exponent"),
    "x short": (public("ES256", x=encoding.encode(b"x" * 31)), "32 bytes"),
    "x long": (public("ES256", x=encoding.encode(b"\0" + b"x" * 32)), "32 bytes"),
    "point off the curve": (public("ES256", y=public("ES256")["x"]), "not on P-256"),
    "point at zero": (public("ES256", x="A" * 43, y="A" * 43), "not on P-256"),
    "coordinate above the field": (public("ES256", x=encoding.encode(b"\xff" * 32)), "not on P-256"),
    "P-521 with P-256 sizes": (public("ES512", x=public("ES256")["x"]), "66 bytes"),
    "Ed25519 short": (public("Ed25519", x=encoding.encode(b"x" * 31)), "32 bytes"),
    "secret empty": ({**OCT, "k": ""}, "'k' is empty"),
    "secret short": ({**OCT, "k": encoding.encode(b"s" * 31)}, "at least 32 bytes"),
    "secret missing": ({"kty": "oct", "alg": "HS256"}, "'k'"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    """Every unfit key is refused in one line that names the fault and does not quote the key."""
    document, why = REFUSALS[case]
    with pytest.raises(InvalidKey, match=why) as caught:
        jwk.import_jwk(document)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "y",
    [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18]
    + [
        int.from_bytes(bytes.fromhex(text), "little")
        for text in (
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        )
    ],
)
@pytest.mark.parametrize("sign", [0, 1 << 255])
def test_ed25519_keys_of_small_order_are_refused(y: int, sign: int) -> None:
    """With such a key one signature fits many messages."""
    with pytest.raises(InvalidKey):
        jwk.import_jwk(public("Ed25519", x=encoding.encode((y | sign).to_bytes(32, "little"))))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"kty":"oct","k":"AAAA","k":"AAAB"}', "twice"),
        (b"[]", "JSON object"),
        (b"null", "JSON object"),
        (b"{", "not JSON"),
        (b"\xff", "UTF-8"),
        ('{"kty": NaN}', "not a JSON number"),
    ],
)
def test_key_documents_are_read_strictly(text: bytes | str, why: str) -> None:
    """A key document that can be read in two ways is refused."""
    with pytest.raises(InvalidKey, match=why):
        jwk.import_jwk(text)


def test_the_callers_algorithm_has_to_be_the_keys() -> None:
    """A key that names its algorithm cannot be bound to another, a key that does not needs one."""
    assert jwk.import_jwk(public("PS256"), algorithm="PS256").algorithm == "PS256"
    assert jwk.import_jwk(public("PS256", alg=None), algorithm="RS256").algorithm == "RS256"
    assert jwk.import_jwk(public("ES384", alg=None)).algorithm == "ES384"
    with pytest.raises(InvalidKey, match="for PS256, not for RS256"):
        jwk.import_jwk(public("PS256"), algorithm="RS256")


def test_key_sets() -> None:
    """A set is refused for duplicate ids, one key under two names, mixed kinds, secrets, and being empty."""
    both = {"keys": [public("RS256"), public("ES256")]}
    assert [one.algorithm for one in jwk.import_jwk_set(both, public_only=True)] == ["RS256", "ES256"]
    shared = {"keys": [OCT, {**OCT, "k": encoding.encode(b"t" * 32), "kid": "two"}]}
    assert len(jwk.import_jwk_set(shared, public_only=False)) == 2
    refusals: list[tuple[object, str]] = [
        ({"keys": [public("RS256", kid="a"), public("ES256", kid="a")]}, "same kid"),
        ({"keys": [public("RS256", kid="a"), public("RS256", kid="b", alg="PS256")]}, "same key"),
        ({"keys": [public("EdDSA", kid="a"), public("EdDSA", kid="b", alg="Ed25519")]}, "same key"),
        ({"keys": [OCT, public("ES256")]}, "mixes"),
        ({"keys": []}, "non-empty"),
        ({"keys": "x"}, "non-empty"),
        ({"keys": {}}, "non-empty"),
        ({}, "non-empty"),
        ({"keys": [1]}, "JSON object"),
        ({"keys": [public("RS256", d="AQAB")]}, "private members"),
    ]
    for document, why in refusals:
        with pytest.raises(InvalidKey, match=why):
            jwk.import_jwk_set(json.dumps(document), public_only=False)
    with pytest.raises(InvalidKey, match="anyone who reads"):
        jwk.import_jwk_set(shared, public_only=True)


def test_private_halves_must_belong_together() -> None:
    """A private JWK whose halves disagree, or that lacks one, is refused."""
    for name, member in (("ES256", "d"), ("EdDSA", "d"), ("RS256", "d"), ("RS256", "dp")):
        document = json.loads(key(name).to_bytes())
        other = json.loads(SigningKey.generate(name, created=0.0, signs_from=0.0).to_bytes())
        with pytest.raises(InvalidKey, match="belong together"):
            SigningKey.from_bytes(json.dumps(document | {member: other[member]}).encode())
        del document[member]
        with pytest.raises(InvalidKey, match=f"'{member}'"):
            SigningKey.from_bytes(json.dumps(document).encode())


def pem(name: str) -> tuple[bytes, bytes]:
    private = key(name).private
    assert not isinstance(private, bytes)
    return (
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


@pytest.mark.parametrize("name", ["RS256", "PS384", "ES256", "ES512", "EdDSA", "Ed25519"])
def test_pem(name: str) -> None:
    """PEM keys import as the same key, bound to the algorithm that was named."""
    private, shown = pem(name)
    assert jwk.import_public_pem(shown, algorithm=name) == key(name).verify_key
    assert jwk.import_public_pem(shown, algorithm=name, kid="mine").kid == "mine"
    assert SigningKey.from_pem(private, name, created=0.0, signs_from=0.0) == key(name)


def test_pem_refusals() -> None:
    """A private key, a certificate, another algorithm's key, an encrypted key and no key at all are refused."""
    private, shown = pem("RS256")
    locked = key("ES256").private
    assert not isinstance(locked, bytes)
    encrypted = locked.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    for text, name, why in (
        (private, "RS256", "private key"),
        (shown, "ES256", "ES256 needs"),
        (shown, "HS256", "HS256 needs"),
        (shown, "none", "unknown alg"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "RS256", "not a PEM public key"),
        (b"secret", "HS256", "not a PEM"),
    ):
        with pytest.raises(InvalidKey, match=why):
            jwk.import_public_pem(text, algorithm=name)
    for text, name, why in (
        (shown, "RS256", "PEM private key"),
        (encrypted, "ES256", "unencrypted"),
        (private, "ES256", "ES256 needs"),
    ):
        with pytest.raises(InvalidKey, match=why):
            SigningKey.from_pem(text, name, created=0.0, signs_from=0.0)


def test_a_short_rsa_key_is_refused_from_pem_too() -> None:
    """1024 bits are refused on every way in."""
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    text = short.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(InvalidKey, match="2048"):
        SigningKey.from_pem(text, "RS256", created=0.0, signs_from=0.0)


def test_roca() -> None:
    """The published weak key and every power of 65537 have the fingerprint; keys made here do not."""
    weak = next(
        group["public"]["keys"][0]
        for group in load("wycheproof_json_web_key_test.json")["testGroups"]
        if group["comment"] == "jws_rsa_roca_key"
    )
    assert is_roca_weak(int.from_bytes(encoding.decode(weak["n"]), "big"))
    product = math.prod((3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97))
    product *= math.prod((101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167))
    assert is_roca_weak(12345 * product + pow(65537, 98765, product))
    for name in ("RS256", "PS256", "RS384"):
        private = key(name).private
        assert isinstance(private, rsa.RSAPrivateKey)
        assert not is_roca_weak(private.public_key().public_numbers().n)


def test_a_secret_is_never_published() -> None:
    """A shared secret has no public JWK."""
    with pytest.raises(InvalidKey, match="cannot be published"):
        jwk.export_public_jwk(key("HS256").verify_key)


def test_keys_do_not_show_themselves() -> None:
    """The repr of a key holds neither the secret nor the private half."""
    for name in ("HS256", "ES256", "EdDSA"):
        document = json.loads(key(name).to_bytes())
        secret = document["k"] if name == "HS256" else document["d"]
        for shown in (repr(key(name)), repr(key(name).verify_key), str(key(name))):
            assert secret not in shown
            assert repr(encoding.decode(secret))[2:-1] not in shown
            assert key(name).kid in shown
