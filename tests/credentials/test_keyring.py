"""Secrets and signing keys."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import FrozenInstanceError, replace

import pytest

from coatcheck.credentials import jwk, jws
from coatcheck.credentials.jwt import AccessTokens
from coatcheck.credentials.keyring import Keyring, Secrets, SigningKey, TrustedKeys
from coatcheck.errors import ConfigurationError, ForgedCredential, InvalidKey
from tests.credentials.support import CLAIMS, ISSUING, NOW, key, segment

OLD, NEW = b"7Qm0vXr2LkT9dHs4WbNc8YpEf3GzJa6U", b"p3Lk9vTq2Wm7XzR4sDn8HbYc5JfGa6Ue0QiVoNtM"


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 by hand, one block."""
    return hmac.digest(hmac.digest(b"\0" * 32, secret, "sha256"), info + b"\x01", "sha256")


def test_derive() -> None:
    """One HKDF-SHA256 key per secret and purpose, newest first, the same each time."""
    secrets = Secrets([NEW, OLD])
    assert secrets.derive("session-token") == (
        hkdf(NEW, b"coatcheck/1/session-token"),
        hkdf(OLD, b"coatcheck/1/session-token"),
    )
    assert secrets.derive("session-token") is secrets.derive("session-token")
    assert not set(secrets.derive("a")) & set(secrets.derive("b"))


@pytest.mark.parametrize("given", [[], [b""], [b"x" * 31], [NEW, b"short"], ["x" * 40], b"x" * 40, "x" * 40])
def test_weak_secrets_are_refused_with_advice(given: Sequence[bytes]) -> None:
    """Fewer than 32 bytes, text, or none at all: refused, and the message does not quote the secret."""
    with pytest.raises(ConfigurationError, match="secret") as caught:
        Secrets(given)
    assert "xxxx" not in str(caught.value)


def test_secrets_do_not_show_themselves() -> None:
    """Neither repr nor str holds a secret or what was derived from it."""
    secrets = Secrets([NEW])
    secrets.derive("a")
    assert repr(secrets) == str(secrets) == "<Secrets: 1, not shown>"


def test_seal() -> None:
    """The newest secret seals, all unseal; purpose, context and every byte are bound."""
    sealed = Secrets([OLD]).seal("keys", b"private", context=b"kid")
    assert Secrets([OLD]).seal("keys", b"private", context=b"kid") != sealed
    assert Secrets([NEW, OLD]).unseal("keys", sealed, context=b"kid") == b"private"
    with pytest.raises(ConfigurationError, match="not the one these keys were sealed with"):
        Secrets([OLD]).unseal("keys", Secrets([NEW, OLD]).seal("keys", b"x", context=b"kid"), context=b"kid")
    for purpose, context in (("keys", b"other"), ("other", b"kid")):
        with pytest.raises(ConfigurationError):
            Secrets([OLD]).unseal(purpose, sealed, context=context)
    for index in range(len(sealed)):
        broken = sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1 :]
        for damaged in (broken, sealed[:index]):
            with pytest.raises(ConfigurationError):
                Secrets([OLD]).unseal("keys", damaged, context=b"kid")


def test_sealing_and_macs_share_no_key() -> None:
    """The sealing key of a purpose is not what `derive` gives for it."""
    secrets = Secrets([NEW])
    sealed = secrets.seal("keys", b"x", context=b"")
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    with pytest.raises(InvalidTag):
        AESGCM(secrets.derive("keys")[0]).decrypt(sealed[:12], sealed[12:], b"")


def test_signing_keys_are_frozen_and_named() -> None:
    """A key's kid is its thumbprint, or for a secret 128 random bits that say nothing of it."""
    assert key("ES256").kid == jwk.thumbprint(key("ES256").verify_key.public)
    shared = SigningKey.generate("HS256", created=0.0, signs_from=0.0)
    assert len(shared.kid) == 22
    assert shared.kid != jwk.thumbprint(shared.verify_key.public)
    with pytest.raises(FrozenInstanceError):
        shared.kid = "x"  # type: ignore[misc]
    with pytest.raises(InvalidKey, match="kid"):
        replace(shared, kid="")


def at(signs_from: float, retires: float | None = None, created: float = 0.0) -> SigningKey:
    made = SigningKey.generate("HS256", created=created, signs_from=signs_from)
    return replace(made, retires=retires)


def test_the_newest_key_that_has_begun_signs() -> None:
    """A key published ahead of its time does not sign yet; before any has begun the oldest does."""
    first, second, third = at(100.0), at(200.0), at(300.0)
    ring = Keyring([third, first, second])
    assert [ring.signer(now) for now in (50.0, 100.0, 199.9, 200.0, 300.0, 1e9)] == [
        first,
        first,
        first,
        second,
        third,
        third,
    ]


def test_a_retired_key_neither_signs_nor_verifies() -> None:
    """From `retires` on, not before, whether or not a new snapshot was made."""
    old, new = at(0.0, retires=500.0), at(1000.0)
    ring = Keyring([old, new])
    tokens = AccessTokens(ring)
    token = tokens.issue(CLAIMS, now=499.0)
    assert tokens.read(token, now=499.9) == CLAIMS
    with pytest.raises(ForgedCredential, match="retired"):
        tokens.read(token, now=500.0)
    assert ring.signer(499.0) is old
    assert ring.signer(500.0) is new
    assert ring.live(499.0).keys == (old, new)
    assert ring.live(500.0).keys == (new,)
    assert ring.live(500.0).find(old.header) is None
    tokens.keyring = ring.live(500.0)
    with pytest.raises(ForgedCredential, match="header"):
        tokens.read(token, now=0.0)


def test_an_empty_keyring() -> None:
    """It verifies nothing, publishes nothing and says what is missing when asked to sign."""
    ring = Keyring([])
    assert ring.jwks() == {"keys": []}
    assert ring.find(key("HS256").header) is None
    with pytest.raises(ConfigurationError, match="no signing key"):
        ring.signer(NOW)
    with pytest.raises(ConfigurationError, match="no signing key"):
        Keyring([at(0.0, retires=5.0)]).signer(5.0)


def test_rotation_between_algorithms() -> None:
    """Tokens of both keys verify while a deployment moves from one algorithm to another, each by its own key only."""
    old, new = key("HS256"), replace(key("ES256"), signs_from=NOW)
    tokens = AccessTokens(Keyring([old]))
    before = tokens.issue(CLAIMS, now=NOW)
    tokens.keyring = Keyring([old, new])
    after = tokens.issue(CLAIMS, now=NOW)
    assert tokens.read(before, now=NOW) == tokens.read(after, now=NOW) == CLAIMS
    assert [one["alg"] for one in tokens.keyring.jwks()["keys"]] == ["ES256"]


def test_a_keyring_refuses_ambiguity() -> None:
    """Two keys of one id, one key twice, and one key under two algorithms are refused."""
    one = key("EdDSA")
    twin = replace(one, algorithm="Ed25519")
    for keys, why in (
        ([one, one], "same kid"),
        ([one, twin], "same kid"),
        ([one, replace(key("ES256"), kid=one.kid)], "same kid"),
        ([one, replace(twin, kid="other")], "same key"),
        ([key("HS256"), replace(key("HS256"), kid="other")], "same key"),
    ):
        with pytest.raises(InvalidKey, match=why):
            Keyring(keys)


def test_the_published_set_holds_public_halves_only() -> None:
    """Exactly the public members with kid, alg and use; no shared secret, no private member."""
    jwks = Keyring([key(name) for name in ("HS256", "RS256", "ES256", "EdDSA")]).jwks()
    members = {one["alg"]: set(one) for one in jwks["keys"]}
    common = {"kty", "kid", "alg", "use"}
    assert members == {
        "RS256": common | {"n", "e"},
        "ES256": common | {"crv", "x", "y"},
        "EdDSA": common | {"crv", "x"},
    }
    assert len({one["kid"] for one in jwks["keys"]}) == 3


def test_a_remote_verifier_reads_our_tokens_from_the_published_set() -> None:
    """The published set is all that is needed, with no header registered."""
    for name in ISSUING[1:]:
        ring = Keyring([key(name)])
        token = AccessTokens(ring).issue(CLAIMS, now=NOW)
        assert jws.verify_compact(token, TrustedKeys.from_jwks(ring.jwks()).find, now=NOW).startswith(b'{"iss"')


def foreign(**members: object) -> str:
    return segment({"alg": "ES256", "kid": key("ES256").kid, **members})


HEADERS: dict[str, tuple[str, str]] = {
    "crit": (foreign(crit=["exp"]), "crit"),
    "crit empty": (foreign(crit=[]), "crit"),
    "b64": (foreign(b64=False), "b64"),
    "zip": (foreign(zip="DEF"), "zip"),
    "enc": (foreign(enc="A256GCM"), "enc"),
    "jwk": (foreign(jwk={"kty": "EC"}), "jwk"),
    "jku": (foreign(jku="https://evil.example/jwks"), "jku"),
    "x5u": (foreign(x5u="https://evil.example/x"), "x5u"),
    "x5c": (foreign(x5c=["AAAA"]), "x5c"),
    "unknown": (foreign(zzz="1"), "zzz"),
    "typ missing": (foreign(), "typ"),
    "typ JWT": (foreign(typ="JWT"), "typ"),
    "typ number": (foreign(typ=1), "string"),
    "alg none": (segment({"alg": "none", "typ": "at+jwt"}), "alg"),
    "alg missing": (segment({"typ": "at+jwt"}), "alg"),
    "alg list": (segment({"alg": ["ES256"], "typ": "at+jwt"}), "string"),
    "alg of another key": (foreign(alg="RS256", typ="at+jwt"), "alg"),
    "alg in another case": (foreign(alg="es256", typ="at+jwt"), "alg"),
    "kid of nobody": (foreign(kid="../../dev/null", typ="at+jwt"), "kid"),
    "kid null": (foreign(kid=None, typ="at+jwt"), "string"),
    "duplicate": (segment('{"alg":"ES256","alg":"ES256","typ":"at+jwt"}'), "twice"),
    "not an object": (segment("[]"), "object"),
    "not JSON": (segment("{"), "JSON"),
    "padded": (foreign(typ="at+jwt") + "=", "base64url"),
    "not base64url": (foreign(typ="at+jwt")[:-1] + "?", "base64url"),
    "empty": ("", "JSON"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_that_are_never_trusted(case: str) -> None:
    """A foreign header with any member that could change verification cannot be registered, and stays unknown."""
    keys = TrustedKeys([key("ES256").verify_key])
    header, why = HEADERS[case]
    with pytest.raises(ConfigurationError, match=why):
        keys.trust_header(header)
    assert keys.find(header) is None


def test_a_trusted_header_is_looked_up_byte_for_byte() -> None:
    """What was registered verifies; the same header spelled in another way does not."""
    keys = TrustedKeys([key("ES256").verify_key])
    header = segment('{ "typ":"application/at+JWT","alg":"ES256" }')
    assert keys.trust_header(header) is key("ES256").verify_key
    token = jws.sign_compact(header, b"{}", key("ES256").sign)
    assert jws.verify_compact(token, keys.find, now=NOW) == b"{}"
    respelled = jws.sign_compact(segment({"typ": "application/at+JWT", "alg": "ES256"}), b"{}", key("ES256").sign)
    with pytest.raises(ForgedCredential, match="header"):
        jws.verify_compact(respelled, keys.find, now=NOW)


def test_a_header_without_kid_needs_a_single_key() -> None:
    """With several keys it would be a guess."""
    keys = TrustedKeys([key("ES256").verify_key, key("RS256").verify_key])
    with pytest.raises(ConfigurationError, match="more than one key"):
        keys.trust_header(segment({"alg": "ES256", "typ": "at+jwt"}))


def test_reprs_hold_no_secret() -> None:
    """Keyring and TrustedKeys name their keys only."""
    ring = Keyring([key("HS256")])
    secret = key("HS256").private
    assert isinstance(secret, bytes)
    for shown in (repr(ring), repr(TrustedKeys([key("HS256").verify_key])), repr(AccessTokens(ring))):
        assert repr(secret)[2:-1] not in shown
        assert hashlib.sha256(secret).hexdigest() not in shown
