"""Passwords: what they look like, which may be chosen, and how they are hashed."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
import secrets
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache
from typing import Final, TypeVar

import argon2

from .. import arguments
from ..errors import ConfigurationError, Rejected, Throttled, WeakPassword
from . import foreign_hashes
from .foreign_hashes import Argon2Hash, NotInstalled, StoredHash, Typed
from .priority import step_behind

log = logging.getLogger("coatcheck.accounts")

MIN_LENGTH: Final = 8
"""Code points a password must have at least; 15 is recommended (ASVS 6.2.1, NIST SP 800-63B-4 §3.1.1.2)."""
MAX_LENGTH: Final = 256
"""Code points a password may have; ASVS 6.2.9 asks for 64 at least."""
MAX_BYTES: Final = 1024
"""The same bound in UTF-8 bytes, so that a password never costs more than this to hash or to carry."""
_MAX_RAW: Final = 4 * MAX_LENGTH
"""Code points before normalisation, which makes one out of up to four; more is not even looked at."""

_SPACES: Final = dict.fromkeys(
    (0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " "
)  # the non-ASCII spaces (Zs)
_LOOKALIKES: Final = str.maketrans("01!|l34@5$7", "oiiiieaasst")
_MIN_WORD: Final = 3
"""Characters of a context word; shorter ones are part of too many innocent words."""

_Result = TypeVar("_Result")


def normalise(password: str) -> str:
    """The form in which passwords are compared: OpaqueString of RFC 8265 §4.2.

    Non-ASCII spaces become ASCII spaces, then NFC. Nothing is trimmed and no case is changed.
    """
    return unicodedata.normalize("NFC", password.translate(_SPACES))


def _to_bytes(password: str) -> Typed | None:
    """What is hashed, or None for a password that is too long to be one."""
    if len(password) > _MAX_RAW:
        return None
    text = normalise(password)
    # A lone surrogate is refused when a password is set, so its bytes match nothing.
    data = text.encode("utf-8", "surrogatepass")
    if len(text) > MAX_LENGTH or len(data) > MAX_BYTES:
        return None
    return Typed(raw=password.encode("utf-8", "surrogatepass"), normal=data)


def is_too_long(password: str) -> bool:
    """Whether this is longer than any password may be."""
    return _to_bytes(password) is None


@cache
def common_passwords() -> frozenset[str]:
    """The passwords that everybody tries first and that are long enough to be chosen: about 11,600 out of the 30,000
    most frequent (zxcvbn's list). Loaded when first asked for, which takes some 30 ms: `Users.prepare` asks
    in a thread."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]  # the package has no types

    return frozenset(_comparable(word) for word in FREQUENCY_LISTS["passwords"] if len(word) >= MIN_LENGTH)


def _comparable(text: str) -> str:
    """Without spaces as well: ``"password1 "`` is tried as soon as ``"password1"`` is."""
    return _unified(text).replace(" ", "")


def _unified(text: str) -> str:
    """Without case, compatibility characters, and format characters, which nobody sees."""
    seen = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordPolicy(arguments.Named):
    """Which passwords may be chosen. There are no composition rules and no expiry (ASVS 6.2.5, 6.2.10).

    Raises `ConfigurationError` for a minimum below 8 or above the maximum of 256, for too short a word, and for a
    setting that there is none of.
    """

    _refusal = ConfigurationError

    min_length: int = MIN_LENGTH
    """Code points after normalisation. Default 8, the least that ASVS 6.2.1 allows; 15 is better."""
    service_name: str = "coatcheck"
    """The service's own name, which counts for nothing in a password."""
    words: tuple[str, ...] = ()
    """More such words: the organisation, products, places (ASVS 6.1.2, 6.2.11). In any case, backwards, and with
    the usual look-alikes (``0`` for ``o``, ``@`` for ``a``). Three characters each at least."""

    def __post_init__(self) -> None:
        own = {item.name: item.default for item in fields(self)}
        arguments.settings("password_policy.", own, **{name: getattr(self, name) for name in own})
        object.__setattr__(self, "words", tuple(self.words))
        if not all(isinstance(word, str) for word in self.words):
            raise ConfigurationError("password_policy.words must be a list of texts")
        if not MIN_LENGTH <= self.min_length <= MAX_LENGTH:
            raise ConfigurationError(f"min_length of a password must be between {MIN_LENGTH} and {MAX_LENGTH}")
        if any(len(word) < _MIN_WORD for word in self.words):  # or somebody gave one text instead of a list
            raise ConfigurationError(f"each word of a password policy needs at least {_MIN_WORD} characters")

    def check(self, password: str, *, email: str = "") -> None:
        """Return if this password may be chosen by the owner of this address; otherwise raise `WeakPassword`, whose
        text is for the person and never holds the password."""
        if _to_bytes(password) is None:
            raise WeakPassword(f"the password is too long; at most {MAX_LENGTH} characters are possible")
        text = normalise(password)
        if len(text) < self.min_length:
            raise WeakPassword(f"the password is too short; it needs at least {self.min_length} characters")
        # RFC 8265 disallows these. An unassigned code point might be normalised differently by a later version of
        # Unicode, and then the password would no longer match.
        if any(unicodedata.category(char) in ("Cc", "Cs", "Cn") for char in text):
            raise WeakPassword("the password holds a control character or one that is not known here")
        if _comparable(text) in common_passwords():
            raise WeakPassword("this password is one of the most common ones; choose one that nobody guesses first")
        if self._leans_on_context(text, email):
            raise WeakPassword(
                "the password is little more than your e-mail address or the name of this service; "
                f"add at least {self.min_length} characters that are neither"
            )

    def _leans_on_context(self, text: str, email: str) -> bool:
        """Whether too little remains when everything that an attacker knows is taken away."""
        folded = _folded(text)
        rest = folded
        for word in sorted(self._context(email), key=len, reverse=True):
            # The line feed keeps what stood left and right of the word from becoming a new one.
            rest = rest.replace(word, "\n").replace(word[::-1], "\n")
        left = sum(len(piece.strip()) for piece in rest.split("\n"))
        return rest != folded and left < self.min_length

    def _context(self, email: str) -> set[str]:
        local, _, domain = email.rpartition("@")
        # Without the last label: "com" is part of too many words.
        phrases = [self.service_name, *self.words, local, domain.rpartition(".")[0]]
        words = {_folded(word) for phrase in phrases for word in _words_of(phrase)}
        return {word for word in words if len(word) >= _MIN_WORD}


def _folded(text: str) -> str:
    return _unified(text).translate(_LOOKALIKES)


def _words_of(phrase: str) -> Iterable[str]:
    pieces = re.split(r"[\W_]+", phrase)
    return (phrase, "".join(pieces), *pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2Profile(arguments.Named):
    """The cost of one argon2id hash (RFC 9106). ``memory`` in KiB, ``passes`` over it, parallel ``lanes``."""

    memory: int
    passes: int
    lanes: int

    def __post_init__(self) -> None:
        """Raises `TypeError` for what is no whole number."""
        arguments.wholes(memory=self.memory, passes=self.passes, lanes=self.lanes)


OWASP: Final = Argon2Profile(memory=19 * 1024, passes=2, lanes=1)
"""m = 19 MiB, t = 2, p = 1: the minimum of the OWASP Password Storage Cheat Sheet. The default: some 30 ms."""
RFC9106_LOW_MEMORY: Final = Argon2Profile(memory=64 * 1024, passes=3, lanes=4)
"""m = 64 MiB, t = 3, p = 4: the second recommended option of RFC 9106 §4."""
RFC9106_HIGH_MEMORY: Final = Argon2Profile(memory=2 * 1024 * 1024, passes=1, lanes=4)
"""m = 2 GiB, t = 1, p = 4: the first recommended option of RFC 9106 §4."""

PROFILES: Final[Mapping[str, Argon2Profile]] = {
    "owasp": OWASP,
    "rfc9106-low-memory": RFC9106_LOW_MEMORY,
    "rfc9106-high-memory": RFC9106_HIGH_MEMORY,
}
"""The profiles by the names that settings use."""

_MEMORY_BUDGET: Final = 1024 * 1024
"""KiB that hashing takes at most where nobody says how many hashes may run at once: 1 GiB."""
_FORMS: Final = 5
"""Forms of hashes that a process evens out: each makes every login that fails dearer."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The answer of `PasswordHasher.verify`; true when the password matches."""

    matches: bool
    needs_rehash: bool = False
    """The hash is another system's, or was made with other parameters than the profile's: hash the password again
    and store that."""
    fault: str = ""
    """Why no password can match this hash, in words for the log: it cannot be read or costs too much."""

    def __bool__(self) -> bool:
        return self.matches


class PasswordHasher(arguments.Named):
    """argon2id in threads of its own, so that the event loop never waits and memory stays bounded. Where the system
    lets them, they are nicer than the rest of the process, so that its requests come first (`priority`).

    ``concurrency``: hashes that run at once, so ``concurrency * profile.memory`` is the most memory they take; stored
    hashes that take more, until they are renewed, wait for each other within 1 GiB. Default: the cores this process may
    use, by the profile's lanes and within 1 GiB. ``waiting``: hashes that may queue; past it `Throttled` is raised.
    Default 256, which takes two cores about four seconds with the default profile.

    Hashes of other systems (`coatcheck.accounts.foreign_hashes`) are verified as well. So that the time of a login that
    fails does not tell whose hash is of which form, it does the work of every form that this process has met (5 at
    most), whether the account exists or not. ``stored``: hashes of the forms that are in use, so that this holds from
    the first login on; anybody's will do. Coatcheck's own accounts are looked through for them at start.

    Raises `ConfigurationError` for a profile or bounds that cannot work, and for ``stored`` ones that cannot be read.
    """

    def __init__(
        self,
        profile: Argon2Profile = OWASP,
        *,
        concurrency: int | None = None,
        waiting: int = 256,
        stored: Iterable[str] = (),
    ) -> None:
        arguments.kinds(Argon2Profile, profile=profile)
        arguments.wholes_or_none(concurrency=concurrency)
        arguments.wholes(waiting=waiting)
        stored = arguments.collection(str, stored, "stored", "[user.password_hash]")
        concurrency = _default_concurrency(profile) if concurrency is None else concurrency
        if concurrency < 1 or waiting < 0:
            raise ConfigurationError("password hashing needs concurrency >= 1 and waiting >= 0")
        if profile.passes < 1 or profile.lanes < 1 or profile.memory < 8 * profile.lanes:
            raise ConfigurationError(
                "an argon2 profile needs 1 pass, 1 lane and 8 KiB per lane at least (RFC 9106 §3.1)"
            )
        self.profile = profile
        self.concurrency = concurrency
        self._argon2 = argon2.PasswordHasher(
            time_cost=profile.passes, memory_cost=profile.memory, parallelism=profile.lanes
        )
        self._nobody = _hash_of_nothing(profile)
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="coatcheck-argon2", initializer=step_behind)
        self._room = concurrency + waiting
        self._lock = threading.Lock()
        self._memory = _Memory(max(_MEMORY_BUDGET, concurrency * profile.memory))
        self._forms: dict[tuple[str | int, ...], StoredHash] = {}
        self._has_warned = False
        try:
            for text in (self._nobody, *stored):
                self._meet(foreign_hashes.read(text))
        except Rejected as error:
            raise ConfigurationError(str(error)) from error

    @property
    def prefix(self) -> str:
        """How every hash of the present profile begins."""
        return self._nobody.rpartition("$")[0].rpartition("$")[0] + "$"

    def meet(self, stored: Iterable[str]) -> None:
        """Even out these forms from now on, as those of ``stored``. What cannot be read matches nothing anyway. Raises
        `ConfigurationError` for a form whose package is not installed: nobody with such a hash could log in."""
        for text in stored:
            try:
                self._meet(foreign_hashes.read(text))
            except NotInstalled as error:
                raise ConfigurationError(str(error)) from error
            except Rejected:
                continue

    async def hash(self, password: str) -> str:
        """The encoded hash (PHC string) of the password, with a salt of its own.

        Raises `WeakPassword` when it is too long to be hashed, and `Throttled` when too many are waiting."""
        typed = _to_bytes(password)
        if typed is None:
            raise WeakPassword(f"the password is too long; at most {MAX_LENGTH} characters are possible")
        return await self._run(lambda: self._hash(typed))

    async def verify(self, password_hash: str, password: str) -> Verified:
        """Whether the password is the one hashed. A hash that cannot be read matches nothing and costs as much.

        Raises `Throttled` when too many are waiting."""
        typed = _to_bytes(password)
        if typed is None:
            return Verified(matches=False)
        return await self._run(lambda: self._verify(password_hash, typed))

    async def verify_unknown(self, password: str) -> Verified:
        """The work of `verify` for an account that does not exist; it never matches."""
        return await self.verify(self._nobody, password)

    async def close(self) -> None:
        """Finish the hashes under way and end the threads. Idempotent."""
        try:
            await asyncio.to_thread(self._pool.shutdown)
        except RuntimeError:  # the process is at its end: the interpreter has waited for all threads, and starts none
            self._pool.shutdown()

    def _hash(self, typed: Typed) -> str:
        with self._memory.held(self.profile.memory):
            return self._argon2.hash(typed.normal)

    def _verify(self, password_hash: str, typed: Typed) -> Verified:
        stored, fault = None, ""
        try:
            stored = foreign_hashes.read(password_hash)
        except Rejected as error:
            fault = str(error)
            if isinstance(error, NotInstalled) and not self._has_warned:
                self._has_warned = True
                log.warning("nobody with such a hash can log in: %s", fault)
        if stored is not None:
            self._meet(stored)
            with self._memory.held(stored.memory):
                matches = stored.matches(typed)
            if matches:
                return Verified(matches=True, needs_rehash=self._is_outdated(stored))
        for other in tuple(self._forms.values()):
            with self._memory.held(other.memory):
                other.burn(typed, stored.work if stored is not None and stored.form == other.form else 0)
        return Verified(matches=False, fault=fault)

    def _is_outdated(self, stored: StoredHash) -> bool:
        text = stored.text if isinstance(stored, Argon2Hash) else None
        return text is None or self._argon2.check_needs_rehash(text)

    def _meet(self, stored: StoredHash) -> None:
        """Even out this form from now on, at the highest cost met."""
        with self._lock:
            known = self._forms.get(stored.form)
            if len(self._forms) < _FORMS if known is None else known.work < stored.work:
                self._forms[stored.form] = stored

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        with self._lock:
            if self._room == 0:
                raise Throttled(1)
            self._room -= 1
        try:
            future = self._pool.submit(work)
        except RuntimeError:
            self._leave(None)
            raise
        # A caller who is cancelled leaves a hash running: its place is free only when the thread is.
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, _: Future[_Result] | None) -> None:
        with self._lock:
            self._room += 1


class _Memory:
    """KiB that hashes may take at once. One that needs more than there is waits until it is alone."""

    def __init__(self, total: int) -> None:
        self._free = self._total = total
        self._changed = threading.Condition()

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Wait for the memory, in the thread that hashes."""
        size = min(size, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


def _default_concurrency(profile: Argon2Profile) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores // max(1, profile.lanes), _MEMORY_BUDGET // max(1, profile.memory)))


def _hash_of_nothing(profile: Argon2Profile) -> str:
    """A hash in the profile's form that was made from no password, so none matches and making it costs nothing."""
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={profile.memory},t={profile.passes},p={profile.lanes}${salt}${digest}"


__all__ = [
    "MAX_BYTES", "MAX_LENGTH", "MIN_LENGTH", "OWASP", "PROFILES", "RFC9106_HIGH_MEMORY", "RFC9106_LOW_MEMORY",
    "Argon2Profile", "PasswordHasher", "PasswordPolicy", "Verified", "common_passwords", "is_too_long", "normalise",
]  # fmt: skip
