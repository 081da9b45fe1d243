"""The attacks on a token's header, each against each kind of key."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from coatcheck.credentials import encoding, jwk, jws
from coatcheck.credentials.algorithms import ALGORITHMS
from coatcheck.credentials.jwt import AccessTokens
from coatcheck.credentials.keyring import Keyring, SigningKey
from coatcheck.errors import ForgedCredential, InvalidCredential
from tests.credentials.support import CLAIMS, ISSUING, NOW, key, segment, token, tokens

HASHES = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def body(algorithm: str) -> str:
    return token(algorithm).split(".")[1]


def refused(text: str, algorithm: str) -> None:
    with pytest.raises(InvalidCredential):
        tokens(algorithm).read(text, now=NOW)


@pytest.mark.parametrize("algorithm", ISSUING)
@pytest.mark.parametrize("none", ["none", "None", "NONE", "nOnE", "", "null", " none", "none\0"])
def test_none(algorithm: str, none: str) -> None:
    """No spelling of `none` is accepted, with or without a signature; nor is our own header without one."""
    signature = token(algorithm).rsplit(".", 1)[1]
    for members in ({"alg": none}, {"alg": none, "typ": "at+jwt", "kid": key(algorithm).kid}):
        for tail in ("", signature, "AA"):
            refused(f"{segment(members)}.{body(algorithm)}.{tail}", algorithm)
    for tail in (".", "", "..", ".AA", "." + "A" * len(signature)):
        refused(f"{key(algorithm).header}.{body(algorithm)}{tail}", algorithm)


def public_texts(algorithm: str) -> Iterator[bytes]:
    """Everything that an attacker may have taken for a shared secret: the public key in all its forms."""
    public = key(algorithm).verify_key.public
    assert not isinstance(public, bytes)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    yield from (pem, pem.strip(), pem.replace(b"\n", b"\r\n"), b"".join(pem.splitlines()))
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    yield from (der, encoding.encode(der).encode())
    document = jwk.export_public_jwk(key(algorithm).verify_key)
    yield from (json.dumps(document).encode(), json.dumps(document, separators=(",", ":")).encode())
    yield key(algorithm).kid.encode()
    if isinstance(public, rsa.RSAPublicKey):
        yield public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
        yield encoding.decode(document["n"])
    elif isinstance(public, ec.EllipticCurvePublicKey):
        yield public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        yield public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
        yield encoding.decode(document["x"])
    elif isinstance(public, Ed25519PublicKey):
        yield public.public_bytes_raw()
    yield b""


@pytest.mark.parametrize("algorithm", [name for name in ISSUING if not ALGORITHMS[name].symmetric])
def test_a_public_key_is_no_shared_secret(algorithm: str) -> None:
    """A MAC made with the public key, in any form, under any HS header or under ours, is refused."""
    count = 0
    for secret in public_texts(algorithm):
        for name, digest in HASHES.items():
            headers = (
                segment({"alg": name, "typ": "at+jwt", "kid": key(algorithm).kid}),
                segment({"alg": name, "typ": "JWT"}),
                key(algorithm).header,
            )
            for header in headers:
                signing_input = f"{header}.{body(algorithm)}".encode()
                mac = encoding.encode(hmac.digest(secret, signing_input, digest))
                refused(f"{header}.{body(algorithm)}.{mac}", algorithm)
                count += 1
    assert count >= 9 * 11


@pytest.mark.parametrize("algorithm", ISSUING)
def test_keys_that_a_token_brings_along(algorithm: str) -> None:
    """An attacker's own key, embedded, linked or named, verifies nothing."""
    attacker = SigningKey.generate(algorithm, created=0.0, signs_from=0.0)
    shown = {"kty": "oct", "k": "AAAA"} if algorithm == "HS256" else jwk.export_public_jwk(attacker.verify_key)
    tricks: list[dict[str, object]] = [
        {"jwk": shown},
        {"jwk": {**shown, "kid": key(algorithm).kid}},
        {"jku": "https://evil.example/jwks.json"},
        {"jku": "https://auth.example.com@evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "AAAA"},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"alg": [algorithm]},
        {"alg": algorithm.lower()},
        {"alg": None},
    ]
    kids: list[object] = [
        *("", "../../../../dev/null", "/proc/sys/kernel/randomize_va_space", "' UNION SELECT 'x", "a; sleep 5 #"),
        *("http://127.0.0.1/", "\0", "%00", "🗝", "k" * 5000, attacker.kid, None, 0, True, [], {}, [key(algorithm).kid]),
    ]
    tricks += [{"kid": kid} for kid in kids]
    for trick in tricks:
        for base in ({"alg": algorithm, "typ": "at+jwt", "kid": key(algorithm).kid}, {"alg": algorithm}):
            header = segment({**base, **trick})
            for signer in (attacker, key(algorithm)):
                refused(jws.sign_compact(header, encoding.decode(body(algorithm)), signer.sign), algorithm)


@pytest.mark.parametrize("algorithm", ISSUING)
def test_only_our_own_spelling_of_a_header(algorithm: str) -> None:
    """Even signed with our own key, a header that says the same in other bytes is refused before any of it is read."""
    kid = key(algorithm).kid
    for other in (
        {"typ": "at+jwt", "alg": algorithm, "kid": kid},
        {"alg": algorithm, "typ": "at+JWT", "kid": kid},
        {"alg": algorithm, "typ": "application/at+jwt", "kid": kid},
        {"alg": algorithm, "typ": "JWT", "kid": kid},
        {"alg": algorithm, "kid": kid},
        {"alg": algorithm, "typ": "at+jwt"},
        {"alg": algorithm, "typ": "logout+jwt", "kid": kid},
        f'{{"alg":"{algorithm}","typ":"at+jwt","kid":"{kid}" }}',
        f'{{"alg":"none","alg":"{algorithm}","typ":"at+jwt","kid":"{kid}"}}',
        f'{{"alg":"{algorithm}","alg":"none","typ":"at+jwt","kid":"{kid}"}}',
        f'{{"\\u0061lg":"{algorithm}","typ":"at+jwt","kid":"{kid}"}}',
    ):
        text = jws.sign_compact(segment(other), encoding.decode(body(algorithm)), key(algorithm).sign)
        with pytest.raises(ForgedCredential, match="header"):
            tokens(algorithm).read(text, now=NOW)
    for spelled in (key(algorithm).header + "=", key(algorithm).header + "\n", " " + key(algorithm).header):
        text = jws.sign_compact(spelled, encoding.decode(body(algorithm)), key(algorithm).sign)
        with pytest.raises(ForgedCredential, match="header"):
            tokens(algorithm).read(text, now=NOW)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("other", ISSUING)
def test_no_key_verifies_for_another(algorithm: str, other: str) -> None:
    """A token verifies with its own key only; under another key's header its signature is wrong."""
    if algorithm == other:
        assert tokens(algorithm).read(token(algorithm), now=NOW) == CLAIMS
        return
    refused(token(algorithm), other)
    ring = AccessTokens(Keyring([key(other)]))
    swapped = f"{key(other).header}.{body(algorithm)}.{token(algorithm).rsplit('.', 1)[1]}"
    with pytest.raises(InvalidCredential):
        ring.read(swapped, now=NOW)


@pytest.mark.parametrize(
    ("one", "two"), [("EdDSA", "Ed25519"), ("RS256", "PS256"), ("RS256", "RS512"), ("PS256", "PS384")]
)
def test_one_algorithm_per_key(one: str, two: str) -> None:
    """The same key under the other name or scheme: the header is unknown and a signature made for it is wrong."""
    private = key(one).private
    twin = SigningKey(kid=key(one).kid, algorithm=two, private=private, created=0.0, signs_from=0.0)
    theirs = AccessTokens(Keyring([twin])).issue(CLAIMS, now=NOW)
    with pytest.raises(ForgedCredential, match="header"):
        tokens(one).read(theirs, now=NOW)
    if {one, two} != {"EdDSA", "Ed25519"}:
        with pytest.raises(ForgedCredential, match="signature"):
            tokens(one).read(jws.sign_compact(key(one).header, encoding.decode(body(one)), twin.sign), now=NOW)


def test_nothing_of_an_unknown_header_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """No base64, JSON or signature check runs for a header segment that is not ours."""
    text = token("ES256")

    def never(*_: object) -> bytes:
        raise AssertionError("was called")

    monkeypatch.setattr(encoding, "decode", never)
    monkeypatch.setattr(encoding, "parse_json", never)
    for header in ("", "{}", "x", segment({"alg": "none"}), key("ES256").header[:-1]):
        with pytest.raises(ForgedCredential, match="header"):
            tokens("ES256").read(header + text[len(key("ES256").header) :], now=NOW)


def test_the_signature_comes_before_the_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    """A payload that nobody signed is not decoded."""
    decoded = []
    real = encoding.decode
    monkeypatch.setattr(encoding, "decode", lambda text: decoded.append(text) or real(text))
    header, _, signature = token("HS256").split(".")
    with pytest.raises(ForgedCredential, match="signature"):
        tokens("HS256").read(f"{header}.{segment('evil')}.{signature}", now=NOW)
    assert decoded == [signature]


@pytest.mark.parametrize("dots", [0, 1, 3, 4, 8000])
def test_dots(dots: int) -> None:
    """Exactly two, whatever lies between."""
    with pytest.raises(InvalidCredential, match="three segments"):
        tokens("HS256").read("." * dots, now=NOW)
    with pytest.raises(InvalidCredential):
        tokens("HS256").read("..", now=NOW)
