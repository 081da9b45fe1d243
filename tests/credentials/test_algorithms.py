"""The table of algorithms: what each row makes verifies, and nothing else does."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from coatcheck.credentials.algorithms import ALGORITHMS, algorithm_named, public_half
from coatcheck.credentials.keyring import SigningKey
from coatcheck.errors import ForgedCredential, InvalidKey
from tests.credentials.support import key

MESSAGE = b"eyJhbGciOiJub25lIn0.e30"


@pytest.mark.parametrize("name", ALGORITHMS)
def test_sign_and_verify(name: str) -> None:
    """A signature verifies for its message only, at its exact length only."""
    signing = key(name)
    verify = signing.verify_key.verify
    signature = signing.sign(MESSAGE)
    verify(MESSAGE, signature)
    for wrong in (b"", signature[:-1], signature + b"\0", b"\0" + signature, signature[1:], b"\0" * len(signature)):
        with pytest.raises(ForgedCredential):
            verify(MESSAGE, wrong)
    with pytest.raises(ForgedCredential):
        verify(MESSAGE + b"A", signature)


@pytest.mark.parametrize("name", ["ES256", "ES384", "ES512"])
def test_ecdsa_signatures_have_one_length(name: str) -> None:
    """`r` and `s` are padded to the curve's length, also when they are short; a DER signature is refused."""
    size = {"ES256": 64, "ES384": 96, "ES512": 132}[name]
    signing = key(name)
    assert {len(signing.sign(b"%d" % number)) for number in range(300 if name == "ES256" else 20)} == {size}
    signature = signing.sign(MESSAGE)
    stretched = signature[: size // 2] + b"\0" + signature[size // 2 :]
    with pytest.raises(ForgedCredential):
        signing.verify_key.verify(MESSAGE, stretched)
    r, s = (int.from_bytes(half, "big") for half in (signature[: size // 2], signature[size // 2 :]))
    der = encode_dss_signature(r, s)
    with pytest.raises(ForgedCredential):
        signing.verify_key.verify(MESSAGE, der)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("other", ["HS256", "RS256", "ES256", "ES384", "EdDSA"])
def test_a_key_of_another_kind_does_not_fit(name: str, other: str) -> None:
    """Making a signer or verifier from a key of another type or curve raises."""
    row, foreign = ALGORITHMS[name], key(other)
    fits = ALGORITHMS[other]
    if row.kty == fits.kty and getattr(row, "crv", None) == getattr(fits, "crv", None):
        return
    with pytest.raises(InvalidKey, match=name):
        row.verifier(public_half(foreign.private))
    with pytest.raises(InvalidKey, match=name):
        row.signer(foreign.private)


@pytest.mark.parametrize(
    "name", ["none", "None", "NONE", "", "HS1", "hs256", "RS1", "ES256K", "ES521", "Ed448", None, 1]
)
def test_unknown_names(name: object) -> None:
    """There is no row for `none`, for names in another case, or for what is not a name."""
    with pytest.raises(InvalidKey, match="unknown alg"):
        algorithm_named(name)


def test_the_table() -> None:
    """Exactly these names."""
    assert list(ALGORITHMS) == [
        *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
    ]


@pytest.mark.parametrize("name", ["HS256", "HS384", "HS512"])
def test_secrets_shorter_than_the_hash_are_refused(name: str) -> None:
    """RFC 7518 section 3.2; one byte below the size is too short, the size is enough."""
    size = {"HS256": 32, "HS384": 48, "HS512": 64}[name]
    with pytest.raises(InvalidKey, match=f"at least {size} bytes"):
        ALGORITHMS[name].verifier(b"k" * (size - 1))
    ALGORITHMS[name].verifier(b"k" * size)


@pytest.mark.parametrize(
    "text", [b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI", b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"]
)
def test_a_public_key_is_not_a_secret(text: bytes) -> None:
    """The text of an asymmetric key is refused as a shared secret."""
    with pytest.raises(InvalidKey, match="asymmetric"):
        ALGORITHMS["HS256"].verifier(text)


def test_generated_rsa_keys_have_2048_bits() -> None:
    """The smallest size that RFC 7518 allows; bigger keys come from outside."""
    private = key("RS256").private
    assert not isinstance(private, bytes)
    assert getattr(private, "key_size", 0) == 2048


def test_a_signing_key_with_an_unfit_private_key_is_refused() -> None:
    """The pairing of key and algorithm is checked when the key is made."""
    with pytest.raises(InvalidKey, match="RS256 needs an RSA"):
        SigningKey(kid="a", algorithm="RS256", private=b"s" * 32, created=0.0, signs_from=0.0)
