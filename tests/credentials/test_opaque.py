"""Session, refresh and CSRF tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets as system
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.credentials import encoding, opaque
from coatcheck.credentials.keyring import Secrets
from coatcheck.credentials.opaque import OpaqueTokens, is_session_id, new_session_id, session_slot, subject_slot
from coatcheck.errors import CrossSite, ForgedCredential, InvalidCredential, MalformedCredential

SECRET = bytes(range(32))
OTHER = bytes(range(128, 160))
TOKENS = OpaqueTokens(Secrets([SECRET]))
ID = "C_6A_ulE0mND6zWRXNPMBIQ_"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def mac(purpose: str, *fields: bytes) -> str:
    """The MAC by hand: HKDF-SHA256 for the key, four bytes of length before the purpose and each field."""
    key = hmac.digest(hmac.digest(b"\0" * 32, SECRET, "sha256"), f"coatcheck/1/{purpose}".encode() + b"\x01", "sha256")
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (purpose.encode(), *fields))
    return encoding.encode(hmac.digest(key, message, "sha256")[:24])


def test_known_answers() -> None:
    """The format of every token is fixed: a change would log everybody out."""
    assert TOKENS.session_token(ID) == "ccs_C_6A_ulE0mND6zWRXNPMBIQ_gIDSdRENLoA-DqugNg1Ft3YVpnYPesCT"
    assert TOKENS.refresh_token(ID, 0) == "ccr_C_6A_ulE0mND6zWRXNPMBIQ_AAAAAAAAuNuu2cwBljwz0ObpRR_l9PsWdn76PJFO"
    assert TOKENS.refresh_token(ID, 2**48 - 1) == "ccr_C_6A_ulE0mND6zWRXNPMBIQ_________bRAEYMCQ-1t-F-p7NPDEgdgViNMMvwmm"
    assert TOKENS.session_token(ID) == f"ccs_{ID}" + mac("session-token", ID.encode())
    assert TOKENS.refresh_token(ID, 1) == f"ccr_{ID}AAAAAAAB" + mac("refresh-token", ID.encode(), b"\0\0\0\0\0\1")
    csrf = TOKENS.csrf_token(ID)
    assert csrf[20:] == mac("csrf-token", ID.encode(), csrf[4:20].encode())
    TOKENS.check_csrf_token("ccf_Bq050878LnX_lUAQ_HJKKjGD2fYM7srfGiwx-6EvhzijwPT5", ID)


@given(st.binary(min_size=18, max_size=18), st.integers(min_value=0, max_value=2**48 - 1))
def test_round_trip(raw: bytes, generation: int) -> None:
    """Every id and generation comes back."""
    session_id = encoding.encode(raw)
    assert TOKENS.read_session_token(TOKENS.session_token(session_id)) == session_id
    assert TOKENS.read_refresh_token(TOKENS.refresh_token(session_id, generation)) == (session_id, generation)
    TOKENS.check_csrf_token(TOKENS.csrf_token(session_id), session_id)


def damaged(token: str) -> Iterator[str]:
    """Every flip of one bit, every truncation, every extension by one character."""
    for index, character in enumerate(token):
        for bit in range(8):
            yield token[:index] + chr(ord(character) ^ (1 << bit)) + token[index + 1 :]
        yield token[:index]
        yield token[index + 1 :]
        yield token[:index] + token[index + 1 :]
    for extra in ALPHABET + "= \n\0.é":
        yield token + extra
        yield extra + token


@pytest.mark.parametrize(
    ("token", "read"),
    [
        (TOKENS.session_token(ID), TOKENS.read_session_token),
        (TOKENS.refresh_token(ID, 7), TOKENS.read_refresh_token),
    ],
)
def test_every_bit_counts(token: str, read: Callable[[str], object]) -> None:
    """Every single-bit flip, truncation and extension of a valid token is refused."""
    read(token)
    count = 0
    for wrong in damaged(token):
        if wrong != token:
            with pytest.raises(InvalidCredential):
                read(wrong)
            count += 1
    assert count > 11 * len(token)


def test_every_bit_of_a_csrf_token_counts() -> None:
    """The same for forms, where the refusal is `CrossSite`; another session's token is refused too."""
    token = TOKENS.csrf_token(ID)
    for wrong in damaged(token):
        with pytest.raises(CrossSite):
            TOKENS.check_csrf_token(wrong, ID)
    with pytest.raises(CrossSite):
        TOKENS.check_csrf_token(token, new_session_id("someone else"))
    with pytest.raises(CrossSite):
        TOKENS.check_csrf_token("", ID)


def test_csrf_tokens_differ_each_time() -> None:
    """So that compressing a page that repeats one gives nothing away."""
    assert len({TOKENS.csrf_token(ID) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "text", ["", "ccs_", ID, "ccs_" + "é" * 56, "ccs_" + "=" * 56, "ccs_" + "\ud800" * 56, "x" * 10**6]
)
def test_what_is_no_token_is_malformed(text: str) -> None:
    """Wrong length, prefix or alphabet is refused before any MAC is computed."""
    for read in (TOKENS.read_session_token, TOKENS.read_refresh_token):
        with pytest.raises(MalformedCredential):
            read(text)


def test_non_ascii_in_the_mac_is_refused() -> None:
    """Also when length and body are right."""
    token = TOKENS.session_token(ID)
    for tail in ("é", "\ud800", "\0"):
        with pytest.raises(ForgedCredential):
            TOKENS.read_session_token(token[:-1] + tail)


def test_no_kind_passes_for_another() -> None:
    """The MAC of one kind does not fit another, whatever the prefix says."""
    session = TOKENS.session_token(ID)
    refresh = TOKENS.refresh_token(ID, 0)
    with pytest.raises(MalformedCredential):
        TOKENS.read_refresh_token(session)
    with pytest.raises(MalformedCredential):
        TOKENS.read_session_token(refresh)
    with pytest.raises(ForgedCredential):
        TOKENS.read_session_token("ccs_" + ID + refresh[-32:])
    with pytest.raises(ForgedCredential):
        TOKENS.read_refresh_token("ccr_" + ID + "AAAAAAAA" + session[-32:])


def test_fields_cannot_slide_into_each_other() -> None:
    """Lengths are part of the MAC's input, so another split of the same bytes has another MAC."""
    stamp = opaque.Stamp(Secrets([SECRET]), "x_", "test")
    assert len({stamp.make("", *fields) for fields in ([b"ab", b"c"], [b"a", b"bc"], [b"abc"], [b"abc", b""], [])}) == 5
    assert stamp.make("", b"a") != opaque.Stamp(Secrets([SECRET]), "x_", "tes").make("", b"ta")


def test_all_secrets_verify_and_the_newest_signs() -> None:
    """After a change of secret old tokens hold until the old secret is dropped."""
    before = OpaqueTokens(Secrets([OTHER]))
    during = OpaqueTokens(Secrets([SECRET, OTHER]))
    assert during.read_session_token(before.session_token(ID)) == ID
    assert during.read_refresh_token(before.refresh_token(ID, 3)) == (ID, 3)
    during.check_csrf_token(before.csrf_token(ID), ID)
    assert during.session_token(ID) == TOKENS.session_token(ID)
    with pytest.raises(ForgedCredential):
        TOKENS.read_session_token(before.session_token(ID))


def test_the_successor_is_the_same_for_everyone() -> None:
    """Whoever derives the next refresh token under the newest secret gets the same bytes; each generation differs."""
    again = OpaqueTokens(Secrets([SECRET, OTHER]))
    assert again.refresh_token(ID, 8) == TOKENS.refresh_token(ID, 8)
    assert len({TOKENS.refresh_token(ID, generation) for generation in range(100)}) == 100


@pytest.mark.parametrize("generation", [-1, 2**48])
def test_generations_have_a_range(generation: int) -> None:
    """Outside of it there is no token, rather than one that wraps round."""
    with pytest.raises(OverflowError):
        TOKENS.refresh_token(ID, generation)


def test_ids_are_unique() -> None:
    """100,000 ids of one subject: all different, all of the right form, all in its slot."""
    ids = {new_session_id("subject") for _ in range(100_000)}
    assert len(ids) == 100_000
    assert all(map(is_session_id, ids))
    assert {session_slot(one) for one in ids} == {subject_slot("subject")}
    assert subject_slot("subject") == hashlib.sha256(b"subject").digest()[:2]


def test_ids_come_from_the_systems_random_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 16 bytes behind the slot are what `secrets` gave, all of them."""
    asked = []

    def token_bytes(count: int) -> bytes:
        asked.append(count)
        return b"\xab" * count

    monkeypatch.setattr(system, "token_bytes", token_bytes)
    assert encoding.decode(new_session_id("s"))[2:] == b"\xab" * 16
    assert asked == [16]


@pytest.mark.parametrize(
    "text", ["", ID[:-1], ID + "A", ID[:-1] + "=", ID[:-1] + "\n", " " + ID[1:], "é" * 24, "\uff11" * 24]
)
def test_what_is_no_session_id(text: str) -> None:
    """Only 24 characters of base64url are one."""
    assert is_session_id(ID)
    assert not is_session_id(text)
    with pytest.raises(MalformedCredential):
        session_slot(text)


def test_nothing_shows_a_key() -> None:
    """The repr of what holds keys does not hold them."""
    key = Secrets([SECRET]).derive("session-token")[0]
    assert repr(key)[2:-1] not in repr(TOKENS)
    assert repr(SECRET)[2:-1] not in repr(TOKENS)
