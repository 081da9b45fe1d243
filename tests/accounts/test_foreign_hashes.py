"""Hashes that other systems wrote: what they wrote matches, nothing else does, and none costs without bound."""

from __future__ import annotations

import hashlib
import hmac
import sys
import tracemalloc
from typing import Any

import argon2
import bcrypt
import pytest
from django.contrib.auth import hashers as django
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.security import generate_password_hash

from coatcheck.accounts import foreign_hashes
from coatcheck.accounts.foreign_hashes import Typed, read
from coatcheck.accounts.passwords import normalise
from coatcheck.errors import Rejected

PASSWORDS = [
    "correct horse",
    "",
    "pässwörd €",
    "e\u0301 not composed",
    "ﬁ ligature\u00a0",
    " spaced ",
    "x" * 200,
    "nul\0l",
]
GREEK = "\u0399\u03c9\u03b1\u03bd\u03bd\u03b7\u03c2"
TABLE = "t\u00e1\u0411\u2113\u0259"
LONG = "abc123" * 12

# From Passlib's own tests and documentation; the two scrypt ones with RFC 7914's vectors are in its form.
PASSLIB = [
    ("password", "$pbkdf2$1212$OB.dtnSEXZK8U5cgxU/GYQ$y5LKPOplRmok7CZp/aqVDVg8zGI"),
    (GREEK, "$pbkdf2$1212$THDqatpidANpadlLeTeOEg$HV3oi1k5C5LQCgG1BMOL.BX4YZc"),
    ("password", "$pbkdf2-sha256$1212$4vjV83LKPjQzk31VI4E0Vw$hsYF68OiOUPdDZ1Fg.fJPeq1h/gXXY7acBp9/6c.tmQ"),
    (GREEK, "$pbkdf2-sha256$1212$3SABFJGDtyhrQMVt1uABPw$WyaUoqCLgvz97s523nF4iuOqZNbp5Nt8do/cuaa7AiI"),
    (
        "password",
        "$pbkdf2-sha512$1212$RHY0Fr3IDMSVO/RSZyb5ow"
        "$eNLfBK.eVozomMr.1gYa17k9B7KIK25NOEshvhrSX.esqY3s.FvWZViXz4KoLlQI.BzY/YTNJOiKc5gBYFYGww",
    ),
    (
        GREEK,
        "$pbkdf2-sha512$1212$KkbvoKGsAIcF8IslDR6skQ"
        "$8be/PRmd88Ps8fmPowCJttH9G3vgxpG.Krjt3KT.NP6cKJ0V4Prarqf.HBwz0dCkJ6xgWnSj2ynXSV7MlvMa8Q",
    ),
    ("", "$bcrypt-sha256$2a,5$E/e/2AOhqM5W/KJTFQzLce$F6dYSxOdAEoJZO2eoHUZWZljW/e0TXO"),
    ("password", "$bcrypt-sha256$2b,5$5Hg1DKFqPE8C2aflZ5vVoe$12BjNE0p7axMg55.Y/mHsYiVuFBDQyu"),
    (TABLE, "$bcrypt-sha256$2a,5$.US1fQ4TQS.ZTz/uJ5Kyn.$QNdPDOTKKT5/sovNz1iWg26quOU4Pje"),
    (LONG + "qwr", "$bcrypt-sha256$2b,5$X1g1nh3g0v4h6970O68cxe$021KLEif6epjot5yoxk0m8I0929ohEa"),
    ("", "$bcrypt-sha256$v=2,t=2b,r=5$E/e/2AOhqM5W/KJTFQzLce$WFPIZKtDDTriqWwlmRFfHiOTeheAZWe"),
    ("password", "$bcrypt-sha256$v=2,t=2b,r=5$5Hg1DKFqPE8C2aflZ5vVoe$wOK1VFFtS8IGTrGa7.h5fs0u84qyPbS"),
    (TABLE, "$bcrypt-sha256$v=2,t=2b,r=5$.US1fQ4TQS.ZTz/uJ5Kyn.$pzzgp40k8reM1CuQb03PvE0IDPQSdV6"),
    (LONG + "xyz", "$bcrypt-sha256$v=2,t=2b,r=5$X1g1nh3g0v4h6970O68cxe$zC/1UDUG2ofEXB6Onr2vvyFzfhEOS3S"),
    ("U*U*U*U*", "$2a$05$c92SVSfjeiCD6F2nAD6y0uBpJDjdRkt0EgeC4/31Rf2LUZbDRDE.O"),
    ("U*U***U", "$2a$05$WY62Xk2TXZ7EvVDQ5fmjNu7b0GEzSzUXUh2cllxJwhtOeMtWV3Ujq"),
    ("password", "$scrypt$ln=8,r=8,p=1$WKs1xljLudd6z9kbY0wpJQ$yCR4iDZYDKv+iEJj6yHY0lv/epnfB6f/w1EbXrsJOuQ"),
    ("", "$scrypt$ln=4,r=1,p=1$$d9ZXYjhleyA7GcpCwYoEl/FrSETjB0ro39/6P+3iFEI"),
    ("password", "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWI"),
]


def typed(password: str) -> Typed:
    return Typed(password.encode(), normalise(password).encode())


def matches(stored: str, password: str) -> bool:
    return read(stored).matches(typed(password))


class _QuickScrypt(django.ScryptPasswordHasher):
    work_factor = 2**5


class _QuickArgon2(django.Argon2PasswordHasher):
    time_cost, memory_cost, parallelism = 1, 16, 2


def _django(hasher: Any) -> Any:
    return lambda password: hasher.encode(password, hasher.salt())


def _django_bcrypt(hasher: Any) -> Any:
    return lambda password: hasher.encode(password, bcrypt.gensalt(4))


WRITERS = {
    "django pbkdf2_sha256": lambda password: django.PBKDF2PasswordHasher().encode(password, "saltY123", 700),
    "django pbkdf2_sha1": lambda password: django.PBKDF2SHA1PasswordHasher().encode(password, "saltY123", 700),
    "django scrypt": _django(_QuickScrypt()),
    "django argon2": _django(_QuickArgon2()),
    "django bcrypt_sha256": _django_bcrypt(django.BCryptSHA256PasswordHasher()),
    "werkzeug scrypt": lambda password: generate_password_hash(password, "scrypt:32:8:2"),
    "werkzeug pbkdf2 sha256": lambda password: generate_password_hash(password, "pbkdf2:sha256:700"),
    "werkzeug pbkdf2 sha512": lambda password: generate_password_hash(password, "pbkdf2:sha512:700"),
    "werkzeug pbkdf2 sha1": lambda password: generate_password_hash(password, "pbkdf2:sha1:700"),
    "argon2-cffi": argon2.PasswordHasher(time_cost=1, memory_cost=16, parallelism=1).hash,
    "argon2i": argon2.PasswordHasher(time_cost=1, memory_cost=16, parallelism=1, type=argon2.Type.I).hash,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_what_they_write_matches(writer: str) -> None:
    """What the real library writes for a password matches that password, byte for byte, and no other."""
    for password in PASSWORDS:
        stored = WRITERS[writer](password)
        assert matches(stored, password)
        assert not matches(stored, password + "x")
        assert not matches(stored, "x" + password)


def test_their_defaults_are_bearable() -> None:
    """Hashes at the strength at which they are written today are not refused as too costly."""
    for stored in (
        django.PBKDF2PasswordHasher().encode("x", "salty", 1_500_000),
        django.ScryptPasswordHasher().encode("x", "salty"),
        django.Argon2PasswordHasher().encode("x", "saltysalty"),
        generate_password_hash("x"),
        argon2.PasswordHasher().hash("x"),
    ):
        assert matches(stored, "x")
        assert not matches(stored, "y")
    read("$2b$13$" + "a" * 21 + "u" + "a" * 31)
    read("$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E")


@pytest.mark.parametrize(("password", "stored"), PASSLIB)
def test_passlib(password: str, stored: str) -> None:
    """Passlib's published hashes match, and only what they were made from."""
    assert matches(stored, password)
    assert not matches(stored, password + "x")


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
@pytest.mark.parametrize("django_prefix", ["", "bcrypt$"])
def test_bcrypt_looks_at_72_bytes(prefix: str, django_prefix: str) -> None:
    """bcrypt cuts a password off after 72 bytes, in the middle of a character if need be; and so is it verified."""
    for password in ("z" * 72, "é" * 36, "z" * 71 + "é", "short"):
        made = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
        stored = django_prefix + prefix + made[4:]
        assert matches(stored, password)
        assert matches(stored, password + "tail") is (len(password.encode()) >= 72)
        assert not matches(stored, "y" + password[1:])
    openwall = "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"
    ascii72 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    assert matches(openwall, ascii72 + "chars after 72 are ignored")


def test_bits_that_carry_nothing() -> None:
    """Some systems wrote the last bits of a bcrypt salt or hash at random: it is the same hash."""
    stored = bcrypt.hashpw(b"password", b"$2b$04$abcdefghijklmnopqrstuu").decode()
    for last in "uvwx":
        assert matches(stored[:28] + last + stored[29:], "password")
    assert not matches(stored[:28] + "e" + stored[29:], "password")
    alphabet = foreign_hashes._BCRYPT_ALPHABET
    last = alphabet.index(stored[-1])
    assert matches(stored[:-1] + alphabet[last | 3], "password")
    assert not matches(stored[:-1] + alphabet[last ^ 4], "password")
    second = "$bcrypt-sha256$v=2,t=2b,r=5$5Hg1DKFqPE8C2aflZ5vVof$wOK1VFFtS8IGTrGa7.h5fs0u84qyPbS"
    with pytest.raises(Rejected):  # there the salt's text is a key, and Passlib refuses it too
        read(second)


KNOWN = [WRITERS[name]("correct horse") for name in WRITERS] + [stored for _, stored in PASSLIB]


@pytest.mark.parametrize("stored", KNOWN, ids=range(len(KNOWN)))
def test_a_shorter_or_changed_digest_never_matches(stored: str) -> None:
    """No prefix of a hash is one: an empty digest would match every password."""
    password = next((word for word, hashed in PASSLIB if hashed == stored), "correct horse")
    assert matches(stored, password)
    for end in range(len(stored)):
        try:
            assert not matches(stored[:end], password)
        except Rejected:
            continue
    start = max(stored.rfind("$") + 1, len(stored) - 31)
    for index in range(start, len(stored) - 1):  # see below for the last one
        other = "1" if stored[index] != "1" else "2"
        try:
            assert not matches(stored[:index] + other + stored[index + 1 :], password)
        except Rejected:  # a second spelling of the same bytes
            continue


@pytest.mark.parametrize(
    "stored",
    [
        "pbkdf2_sha256$1000000000$salt$" + "A" * 43 + "=",
        "pbkdf2:sha256:99999999$salt$" + "a" * 64,
        "$pbkdf2-sha512$9999999999$AAAA$" + "A" * 86,
        "scrypt$1073741824$salt$8$1$" + "A" * 86 + "==",
        "scrypt:4096:8:9999$salt$" + "a" * 128,
        "scrypt:524288:8:1$salt$" + "a" * 128,
        "scrypt:32768:8:60$salt$" + "a" * 128,
        "$scrypt$ln=40,r=8,p=1$AAAA$" + "A" * 43,
        "$scrypt$ln=4000000000,r=8,p=1$AAAA$" + "A" * 43,
        "$2b$17$" + "a" * 21 + "u" + "a" * 31,
        "$2b$31$" + "a" * 21 + "u" + "a" * 31,
        "$bcrypt-sha256$v=2,t=2b,r=31$" + "a" * 21 + "u$" + "a" * 31,
        "$argon2id$v=19$m=4194304,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
        "$argon2id$v=19$m=8,t=9999999,p=1$" + "A" * 22 + "$" + "A" * 43,
        "$argon2id$v=19$m=65536,t=1,p=999$" + "A" * 22 + "$" + "A" * 43,
    ],
)
def test_absurd_costs_are_refused(stored: str) -> None:
    """A row that would take minutes or gigabytes is refused before anything is computed, and the refusal says so."""
    tracemalloc.start()
    try:
        with pytest.raises(Rejected, match="costs more"):
            read(stored)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "stored",
    [
        "", "!", "!unusable", "x", "hunter2", "5f4dcc3b5aa765d61d8327deb882cf99", "sha1$salt$abc", "md5$salt$abc",
        "pbkdf2:sha256:700$salt$", "pbkdf2_sha256$700$salt$", "pbkdf2_sha256$0$salt$" + "A" * 43 + "=",
        "pbkdf2_sha256$0700$salt$" + "A" * 43 + "=", "pbkdf2_sha256$-1$salt$" + "A" * 43 + "=",
        "pbkdf2_sha256$٧٠٠$salt$" + "A" * 43 + "=", "pbkdf2_sha256$700$$" + "A" * 43 + "=",
        "pbkdf2_md5$700$salt$" + "A" * 43 + "=", "pbkdf2:md5:700$salt$" + "a" * 32,
        "pbkdf2:sha256:700$salt$" + "a" * 63,
        "scrypt:31:8:1$salt$" + "a" * 128, "scrypt:1:8:1$salt$" + "a" * 128, "scrypt:65536:1:1$salt$" + "a" * 128,
        "scrypt:32:8:1$salt$" + "a" * 64, "$scrypt$ln=4,r=8,p=1$AAAA$" + "A" * 22,
        "$2$05$" + "a" * 21 + "u" + "a" * 31, "$2x$05$" + "a" * 21 + "u" + "a" * 31,
        "$2b$03$" + "a" * 21 + "u" + "a" * 31, "$2b$5$" + "a" * 21 + "u" + "a" * 31, "$2b$05$" + "a" * 52,
        "$argon2id$v=19$m=8,t=1,p=1$AAAA$" + "A" * 43, "$argon2id$v=19$m=8,t=1,p=2$" + "A" * 22 + "$" + "A" * 43,
        "$argon2id$v=19$m=8,t=1,p=1$" + "A" * 22 + "$AAAA", "$argon2id$v=18$m=8,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
        "$argon2id$v=19$m=8,t=1,p=1$" + "A" * 21 + "$" + "A" * 43, "pbkdf2_sha256$700$salt$" + "A" * 43,
        "A" * 600, "\ud800", "pbkdf2_sha256$700$\ud800$A",
    ],
)  # fmt: skip
def test_malformed_is_a_clean_no(stored: str) -> None:
    """What is no hash is refused with `Rejected`, whose text does not repeat it."""
    with pytest.raises(Rejected) as refused:
        read(stored)
    assert len(stored) < 3 or stored not in str(refused.value)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.builds(
            lambda stored, at, piece, cut: stored[:at] + piece + stored[at + cut :],
            st.sampled_from(KNOWN), st.integers(0, 120), st.text(max_size=4), st.integers(0, 4),
        ),
    )
)  # fmt: skip
def test_reading_never_raises_anything_else(stored: str) -> None:
    """Whatever a row holds, it is a hash that can be computed within the bounds, or `Rejected`."""
    try:
        found = read(stored)
    except Rejected:
        return
    assert found.memory <= foreign_hashes.MAX_ARGON2_MEMORY
    if found.memory <= 2048 and found.work <= 5000:
        assert found.matches(typed("correct horse")) in (True, False)


def test_without_bcrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package a bcrypt hash is refused, and the text says what to install."""
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    for stored in KNOWN:
        if "bcrypt" in stored or stored.startswith("$2"):
            with pytest.raises(Rejected, match=r"pip install 'coatcheck\[bcrypt\]'"):
                read(stored)
        else:
            read(stored)


@pytest.mark.parametrize("stored", KNOWN, ids=range(len(KNOWN)))
def test_compared_in_constant_time(stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests are compared by `hmac.compare_digest`, or within argon2 itself; none shows in a repr."""
    found = read(stored)
    asked = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda *both: asked.append(both) or compare(*both))
    assert not found.matches(typed("something else"))
    assert len(asked) == (0 if "argon2" in stored else 1)
    assert stored[-20:] not in repr(found)
    assert repr(found.digest) not in repr(found)


@pytest.mark.parametrize("stored", [stored for _, stored in PASSLIB if "pbkdf2" in stored])
def test_burning_makes_up_the_difference(stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PBKDF2 of fewer iterations and what is burnt beside it are the iterations of the costliest."""
    spent = []
    derive = hashlib.pbkdf2_hmac
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", lambda *args: spent.append(args[3]) or derive(*args))
    found = read(stored)
    found.burn(typed("x"), 100)
    found.burn(typed("x"), 0)
    found.burn(typed("x"), found.work)
    assert spent == [found.work - 100, found.work]


def test_burning_bcrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """bcrypt of a lower cost and what is burnt beside it are the rounds of the costliest, to the round."""
    rounds = []
    monkeypatch.setattr(bcrypt, "hashpw", lambda password, salt: rounds.append(1 << int(salt[4:6])) or b"x" * 60)
    found = read("$2b$09$" + "a" * 21 + "u" + "a" * 31)
    found.burn(typed("x"), 1 << 6)
    assert sum(rounds) + (1 << 6) == 1 << 9 == found.work
    found.burn(typed("x"), found.work)
    assert sum(rounds) + (1 << 6) == 1 << 9
    found.burn(typed("x"), 0)
    assert rounds[-1] == 1 << 9
