"""Which passwords may be chosen, and how they are compared and hashed."""

from __future__ import annotations

import asyncio
import sys
import unicodedata

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.accounts import (
    OWASP,
    PROFILES,
    RFC9106_HIGH_MEMORY,
    RFC9106_LOW_MEMORY,
    Argon2Profile,
    PasswordHasher,
    PasswordPolicy,
)
from coatcheck.accounts.passwords import common_passwords, normalise
from coatcheck.errors import ConfigurationError, Throttled, WeakPassword
from tests.accounts.support import CHEAP, Hashing

POLICY = PasswordPolicy()


def refused(password: str, *, email: str = "", policy: PasswordPolicy = POLICY) -> bool:
    try:
        policy.check(password, email=email)
    except WeakPassword:
        return True
    return False


@pytest.mark.parametrize("char", ["z", "é", "語", "😀", " "])
@pytest.mark.parametrize("least", [8, 15])
def test_length_counts_code_points(char: str, least: int) -> None:
    """A password needs exactly the stated number of code points, whatever plane they are from."""
    tail = "q;x"
    policy = PasswordPolicy(min_length=least)
    assert refused(char * (least - 4) + tail, policy=policy)
    assert not refused(char * (least - 3) + tail, policy=policy)


def test_length_counts_after_normalisation() -> None:
    """A letter with its accent counts once, however it was typed."""
    assert refused("e\u0301" * 7)
    assert not refused("e\u0301" * 8)


@pytest.mark.parametrize("char", ["z", "é", "語", "😀", "e\u0301"])
async def test_long_passwords_work(char: str) -> None:
    """64, 128 and 256 characters of any width are accepted and told apart to the last; 257 are not."""
    hasher = PasswordHasher(CHEAP)
    for length in (64, 128, 256):
        password = char * (length - 2) + "qx"
        POLICY.check(password)
        stored = await hasher.hash(password)
        assert await hasher.verify(stored, password)
        assert not await hasher.verify(stored, password[:-1] + "y")
    assert refused(char * 257)
    await hasher.close()


async def test_too_long_costs_nothing(hashing: Hashing) -> None:
    """A password that is too long is refused without a hash, for everybody alike."""
    hasher = PasswordHasher(CHEAP)
    for password in ("a" * 257, "a" * 70_000, "\ufb2c" * 200):
        assert not await hasher.verify("whatever", password)
        assert not await hasher.verify_unknown(password)
        with pytest.raises(WeakPassword):
            await hasher.hash(password)
        assert refused(password)
    assert hashing.calls == []
    await hasher.close()


@pytest.mark.parametrize(
    "password",
    ["aquickriverstone", "AQUICKRIVERSTONE", "83919283740", "  spaced  ", "😀🦊🐙🌊🎻🧊🪨🛶", "❤️❤️❤️❤️", "!?;:!?.;:-_"],
)
def test_no_composition_rules(password: str) -> None:
    """One kind of character is enough."""
    assert not refused(password)


@pytest.mark.parametrize("common", ["password1", "iloveyou", "qwerty123"])
@pytest.mark.parametrize(
    "dress", ["{} ", " {}", "  {}  ", "{}\u00a0", "{}\u3000", "\u200b{}", "{}\u00ad\u2060", "{} \u200b"]
)
def test_spaces_do_not_hide_a_common_password(common: str, dress: str) -> None:
    """A common password is one with spaces and invisible characters around and between as well."""
    assert refused(dress.format(common))
    assert refused(" ".join(common))


@pytest.mark.parametrize("dress", ["{}        ", "        {}", "   {}     ", "{}" + "\u200b" * 8])
def test_spaces_do_not_hide_a_context_word(dress: str) -> None:
    """A context word with nothing but spaces or what cannot be seen around it is little more than that word."""
    assert refused(dress.format("lovelace"), email="ada@lovelace.example")
    assert refused(dress.format("coatcheck"))


@pytest.mark.parametrize("bad", ["\0", "\n", "\t", "\x7f", "\x85", "\ud800", "\uffff", "\u0378"])
def test_controls_cannot_be_chosen(bad: str) -> None:
    """Control characters, lone surrogates and unassigned code points are refused when a password is set."""
    assert refused(f"stone{bad}river")


@pytest.mark.parametrize(
    ("stored", "tried"),
    [
        ("x" * 72 + "1", "x" * 72 + "2"),
        ("é" * 36 + "1", "é" * 36 + "2"),
        ("Aquickriver", "aquickriver"),
        ("aquickriver", "aquickriver "),
        ("aquickriver", " aquickriver"),
        ("aquickriver ", "aquickriver"),
        ("aquickriver", "aquickriver\0"),
        ("aquickriver", "aquickriver\0x"),
        ("aquickriver", "aquickriver\n"),
        ("aquickriver", "aquickrive"),
        ("aquickriver", "aquickriver\ud800"),
        ("aquickriver", ""),
        ("ﬁnestriver", "finestriver"),
        ("ｆinestriver", "finestriver"),
    ],
)
async def test_compared_exactly(stored: str, tried: str) -> None:
    """No difference is overlooked: nothing is cut off, trimmed, case-folded or made compatible."""
    hasher = PasswordHasher(CHEAP)
    password_hash = await hasher.hash(stored)
    assert await hasher.verify(password_hash, stored)
    assert not await hasher.verify(password_hash, tried)
    await hasher.close()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zoë's river", "Zoe\u0308's river"),
        ("a\u00a0quick river", "a quick river"),
        ("Å river å", "\u212b river a\u030a"),
    ],
)
async def test_typed_differently(one: str, other: str) -> None:
    """Two keyboards that type the same text differently make the same password."""
    hasher = PasswordHasher(CHEAP)
    assert await hasher.verify(await hasher.hash(one), other)
    assert await hasher.verify(await hasher.hash(other), one)
    await hasher.close()


@given(st.text())
def test_normal_form_is_stable(text: str) -> None:
    """Normalising twice, or after any other canonical form, changes nothing."""
    assert normalise(normalise(text)) == normalise(text)
    assert normalise(unicodedata.normalize("NFD", text)) == normalise(text)


def test_every_space_becomes_a_space() -> None:
    """The table of spaces is the one of Unicode."""
    spaces = {chr(point) for point in range(sys.maxunicode + 1) if unicodedata.category(chr(point)) == "Zs"}
    assert {normalise(space) for space in spaces} == {" "}
    assert normalise("\t\n") == "\t\n"


def test_common_passwords_are_refused() -> None:
    """The 3,000 most common passwords, and 11,000 more, are refused in any case and width."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    assert all(refused(word) for word in FREQUENCY_LISTS["passwords"][:3000])
    assert len(common_passwords()) >= 3000
    assert all(map(refused, common_passwords()))
    assert refused("PassWord1")
    assert refused("ｐａｓｓｗｏｒｄ１")


@pytest.mark.parametrize(
    "password",
    [
        *(
            "coatcheck",
            "Coatcheck2024!",
            "c0@tcheck1",
            "kcehctaoc7",
            "acmeacme",
            "Acme-2025",
            "acme.RIVER",
            "emca1234!",
        ),
        *("lovelace1815", "ada.lovelace", "AdaLovelace1", "@d@lovel4ce!", "analytical1", "engine-ada-1"),
    ],
)
def test_context_counts_for_nothing(password: str) -> None:
    """The service, configured words and the owner's address do not make a password long enough."""
    policy = PasswordPolicy(words=("acme", "river"))
    assert refused(password, email="ada.lovelace@analytical-engine.co.uk", policy=policy)


@pytest.mark.parametrize("password", ["xyzzy", "xyzzy" * 99, "xyzzy\0xyzzy", "baseball1", "xyzzyada"])
def test_refusals_do_not_repeat_the_password(password: str) -> None:
    """No refusal holds the password, which is about to be shown or logged."""
    with pytest.raises(WeakPassword) as caught:
        POLICY.check(password, email="ada@xyzzy.example")
    assert password not in str(caught.value)
    assert "xyzzy" not in str(caught.value)


def test_context_leaves_the_rest() -> None:
    """A password that is long enough without those words may hold them; the end of a domain is no such word."""
    policy = PasswordPolicy(words=("acme",))
    policy.check("acme-but-eleven-more", email="ada@lovelace.example")
    policy.check("lovelace writes notes", email="ada@lovelace.example")
    policy.check("computer9 x", email="ada@lovelace.com")
    policy.check("8 x y z 9 q", email="x@y.z.example")


@pytest.mark.parametrize("options", [{"min_length": 7}, {"min_length": 257}, {"words": ("ab",)}, {"words": "acme"}])
def test_policy_is_checked(options: dict[str, object]) -> None:
    """A policy below the standard, or one that would do nothing, is refused at start."""
    with pytest.raises(ConfigurationError):
        PasswordPolicy(**options)  # type: ignore[arg-type]


def test_profiles_are_the_cited_ones() -> None:
    """The named profiles have the parameters of their sources, and the default is OWASP's."""
    assert (OWASP.memory, OWASP.passes, OWASP.lanes) == (19456, 2, 1)
    for ours, theirs in (
        (RFC9106_LOW_MEMORY, argon2.profiles.RFC_9106_LOW_MEMORY),
        (RFC9106_HIGH_MEMORY, argon2.profiles.RFC_9106_HIGH_MEMORY),
    ):
        assert (ours.memory, ours.passes, ours.lanes) == (theirs.memory_cost, theirs.time_cost, theirs.parallelism)
    assert PasswordHasher().profile is OWASP
    assert set(PROFILES.values()) == {OWASP, RFC9106_LOW_MEMORY, RFC9106_HIGH_MEMORY}
    assert PasswordHasher(RFC9106_HIGH_MEMORY).concurrency == 1


async def test_hash_is_argon2id_with_a_salt() -> None:
    """A stored hash says its parameters, and two of one password differ."""
    hasher = PasswordHasher()
    first, second = await asyncio.gather(hasher.hash("aquickriver"), hasher.hash("aquickriver"))
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    await hasher.close()


async def test_other_parameters_ask_for_a_new_hash() -> None:
    """A hash made with other parameters matches and says that it is to be renewed."""
    old, new = PasswordHasher(CHEAP), PasswordHasher(Argon2Profile(memory=16, passes=2, lanes=1))
    stored = await old.hash("aquickriver")
    assert not (await old.verify(stored, "aquickriver")).needs_rehash
    assert (await new.verify(stored, "aquickriver")).needs_rehash
    assert not (await new.verify(stored, "another")).needs_rehash
    await old.close()
    await new.close()


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$v=19$m=8,t=1,p=1$!!$!!", "$2b$12$abc", "$argon2id$" + "é" * 9])
async def test_unreadable_hash_matches_nothing(stored: str, hashing: Hashing) -> None:
    """A hash that cannot be read refuses every password, at the same cost."""
    hasher = PasswordHasher(CHEAP)
    for password in ("", "aquickriver", stored):
        hashing.calls.clear()
        assert not await hasher.verify(stored, password)
        assert hashing.calls == ["verify"]
    await hasher.close()


async def test_unknown_account_costs_the_same(hashing: Hashing) -> None:
    """For an account that does not exist argon2 runs once, with the same parameters, and never matches."""
    hasher = PasswordHasher(CHEAP)
    stored = await hasher.hash("aquickriver")
    assert argon2.extract_parameters(hasher._nobody) == argon2.extract_parameters(stored)
    hashing.calls.clear()
    for password in ("", "aquickriver", "\0", "é\ud800"):
        assert not await hasher.verify_unknown(password)
    assert hashing.calls == ["verify"] * 4
    await hasher.close()


async def test_bounded_at_once_and_in_waiting(hashing: Hashing) -> None:
    """No more hashes run or wait than was said, and past that the answer is to try again."""
    hasher = PasswordHasher(CHEAP, concurrency=2, waiting=3)
    hashing.go.clear()
    tasks = [asyncio.create_task(hasher.hash("aquickriver")) for _ in range(20)]
    await asyncio.sleep(0)
    with pytest.raises(Throttled) as caught:
        await hasher.verify_unknown("aquickriver")
    assert caught.value.retry_after == 1
    hashing.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, str) for result in results) == 5
    assert sum(isinstance(result, Throttled) for result in results) == 15
    assert hashing.most == 2
    assert await hasher.hash("aquickriver"), "there is room again"
    await hasher.close()


async def test_cancelled_callers_keep_their_place(hashing: Hashing) -> None:
    """Whoever goes away while hashing frees a place only when the thread is free, so memory stays bounded."""
    hasher = PasswordHasher(CHEAP, concurrency=1, waiting=0)
    hashing.go.clear()
    task = asyncio.create_task(hasher.hash("aquickriver"))
    while not hashing.calls:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(Throttled):
        await hasher.hash("aquickriver")
    hashing.go.set()
    await hasher.close()
    assert hashing.most == 1
    assert hasher._room == 1


async def test_loop_runs_while_hashing(hashing: Hashing) -> None:
    """The event loop goes on while every hashing thread is busy."""
    hasher = PasswordHasher(CHEAP, concurrency=2)
    hashing.go.clear()
    tasks = [asyncio.create_task(hasher.hash("aquickriver")) for _ in range(4)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    hashing.go.set()  # only a loop that is not blocked comes here
    await asyncio.gather(*tasks)
    await hasher.close()


async def test_hashing_gives_up_the_interpreter() -> None:
    """Real hashes leave other code running: a ticker goes on many times meanwhile."""
    hasher = PasswordHasher(concurrency=1)
    work = asyncio.gather(*(hasher.hash("aquickriver") for _ in range(4)))
    ticks = 0
    while not work.done():
        await asyncio.sleep(0)
        ticks += 1
    assert ticks > 100
    await hasher.close()


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"waiting": -1}, {"profile": Argon2Profile(memory=7, passes=1, lanes=1)}]
)
def test_hasher_is_checked(options: dict[str, object]) -> None:
    """Bounds and profiles that cannot work are refused at start."""
    with pytest.raises(ConfigurationError):
        PasswordHasher(**options)  # type: ignore[arg-type]
