"""Stored password hashes, our own and those that other systems wrote: read strictly, bounded in cost, compared in
constant time, computed exactly as whoever wrote them did.

======== =====================================================================================================
argon2   ``$argon2id$v=19$m=…,t=…,p=…$salt$hash`` (also ``i`` and ``d``); Django's with ``argon2`` before it
bcrypt   ``$2a$ $2b$ $2y$``; Django's ``bcrypt$…`` and ``bcrypt_sha256$…``; Passlib's ``$bcrypt-sha256$…``,
         both versions
PBKDF2   Django's ``pbkdf2_sha256$…`` and ``pbkdf2_sha1$…``; Werkzeug's ``pbkdf2:sha256:…``; Passlib's
         ``$pbkdf2$…``, ``$pbkdf2-sha256$…`` and ``$pbkdf2-sha512$…``
scrypt   Django's ``scrypt$…``; Werkzeug's ``scrypt:…``; Passlib's ``$scrypt$ln=…``
======== =====================================================================================================

Django, Werkzeug and Passlib hash the UTF-8 bytes of what was typed. Nothing here logs, and nothing repeats a hash.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Final, NamedTuple

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from ..errors import Rejected
from ..extras import missing

MAX_ITERATIONS: Final = 5_000_000
"""Of PBKDF2: some four times what anybody writes today, a few seconds."""
MAX_BCRYPT_COST: Final = 16
"""Some 4 s; 10 to 13 are in use."""
MAX_SCRYPT_MEMORY: Final = 256 * 1024
"""KiB that scrypt may take (128 * N * r bytes). The largest default in use takes 64 MiB."""
MAX_SCRYPT_WORK: Final = 1024 * 1024
"""KiB times p: the same over all lanes, one after the other."""
MAX_ARGON2_MEMORY: Final = 2 * 1024 * 1024
"""KiB: the largest of RFC 9106."""
MAX_ARGON2_WORK: Final = 8 * 1024 * 1024
"""KiB times passes."""
MAX_LANES: Final = 64
_BCRYPT_BYTES: Final = 72
"""Bytes that bcrypt looks at. Who wrote these hashes cut the rest off; the library of today refuses instead."""
_BCRYPT_ALPHABET: Final = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_DIGEST_SIZES: Final = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}


class NotInstalled(Rejected):
    """The package that computes this form is not installed here: for whoever runs this, not for whoever logs in."""


class Typed(NamedTuple):
    """A password as it was typed."""

    raw: bytes
    """UTF-8, as other systems hash it."""
    normal: bytes
    """The form in which Coatcheck hashes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHash(ABC):
    """A hash that was read and may be computed."""

    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @property
    @abstractmethod
    def form(self) -> tuple[str | int, ...]:
        """Which algorithm. Hashes of one form differ in `work` only."""

    @property
    @abstractmethod
    def work(self) -> int:
        """What one verification costs, in a unit of the form's own."""

    @property
    def memory(self) -> int:
        """KiB it takes."""
        return 0

    @abstractmethod
    def matches(self, typed: Typed) -> bool:
        """Whether this password was hashed. Blocks for as long as that takes; other threads run meanwhile."""

    @abstractmethod
    def burn(self, typed: Typed, done: int) -> None:
        """Do the work of `matches`, less what was ``done`` of it, for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2Hash(StoredHash):
    """Any of the three variants. Coatcheck hashes the normal form, others what was typed: both match."""

    text: str = field(repr=False)
    variety: str
    version: int
    cost: int
    passes: int
    lanes: int

    @property
    def form(self) -> tuple[str | int, ...]:
        return ("argon2", self.variety, self.version, self.cost, self.passes, self.lanes)

    @property
    def work(self) -> int:
        return 1

    @property
    def memory(self) -> int:
        return self.cost

    def matches(self, typed: Typed) -> bool:
        # Of two spellings both are always tried, so that the time tells nothing of which it was.
        found = [self._verify(spelling) for spelling in dict.fromkeys((typed.normal, typed.raw))]
        return True in found

    def burn(self, typed: Typed, done: int) -> None:
        if not done:
            self.matches(typed)

    def _verify(self, password: bytes) -> bool:
        try:
            return _ARGON2.verify(self.text, password)
        except (VerificationError, InvalidHashError):  # does not match, cannot be decoded, no memory: all no
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pbkdf2Hash(StoredHash):
    """PBKDF2 with HMAC (RFC 8018 §5.2)."""

    algorithm: str
    iterations: int

    @property
    def form(self) -> tuple[str | int, ...]:
        return ("pbkdf2", self.algorithm)

    @property
    def work(self) -> int:
        return self.iterations

    def matches(self, typed: Typed) -> bool:
        return hmac.compare_digest(self._derive(typed, self.iterations), self.digest)

    def burn(self, typed: Typed, done: int) -> None:
        if done < self.iterations:
            self._derive(typed, self.iterations - done)

    def _derive(self, typed: Typed, iterations: int) -> bytes:
        return hashlib.pbkdf2_hmac(self.algorithm, typed.raw, self.salt, iterations, len(self.digest))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScryptHash(StoredHash):
    """scrypt (RFC 7914)."""

    n: int
    r: int
    p: int

    @property
    def form(self) -> tuple[str | int, ...]:
        return ("scrypt", self.n, self.r, self.p)

    @property
    def work(self) -> int:
        return 1

    @property
    def memory(self) -> int:
        return self.n * self.r // 8 + 1

    def matches(self, typed: Typed) -> bool:
        room = 128 * self.r * (self.n + self.p + 2) + 65536  # V, B, T and X, and a little
        found = hashlib.scrypt(
            typed.raw, salt=self.salt, n=self.n, r=self.r, p=self.p, maxmem=room, dklen=len(self.digest)
        )
        return hmac.compare_digest(found, self.digest)

    def burn(self, typed: Typed, done: int) -> None:
        if not done:
            self.matches(typed)


@dataclass(frozen=True, slots=True, kw_only=True)
class BcryptHash(StoredHash):
    """bcrypt, of the password or of a digest of it. ``salt`` and ``digest`` are in bcrypt's own base 64."""

    cost: int
    prepare: Callable[[bytes], bytes] = field(repr=False)

    @property
    def form(self) -> tuple[str | int, ...]:
        return ("bcrypt",)

    @property
    def work(self) -> int:
        return 1 << self.cost

    def matches(self, typed: Typed) -> bool:
        return hmac.compare_digest(self._derive(typed, self.cost), self.digest)

    def burn(self, typed: Typed, done: int) -> None:
        # Each step of the cost doubles the work: 2^a + (2^a + 2^(a+1) + … + 2^(b-1)) = 2^b.
        for cost in range(done.bit_length() - 1, self.cost) if done else (self.cost,):
            self._derive(typed, cost)

    def _derive(self, typed: Typed, cost: int) -> bytes:
        import bcrypt

        return bcrypt.hashpw(self.prepare(typed.raw), b"$2b$%02d$%s" % (cost, self.salt))[-31:]


def read(text: str) -> StoredHash:
    """The stored hash. Raises `Rejected`, whose text says why and does not hold the hash: a form that is unknown or
    malformed, a cost beyond the bounds above, or bcrypt without the package of that name (`NotInstalled`)."""
    for pattern, build in _FORMS:
        if found := pattern.fullmatch(text):
            try:
                return build(found)
            except ValueError as error:
                raise Rejected("the password hash is malformed") from error
    raise Rejected("the password hash has a form that is not known here")


def _argon2(found: re.Match[str]) -> StoredHash:
    cost, passes, lanes = int(found["m"]), int(found["t"]), int(found["p"])
    _bounded(cost <= MAX_ARGON2_MEMORY and cost * passes <= MAX_ARGON2_WORK and lanes <= MAX_LANES)
    salt, digest = _bare_base64(found["salt"]), _bare_base64(found["hash"])
    if cost < 8 * lanes or len(salt) < 8 or len(digest) < 16:  # RFC 9106 §3.1; and no digest that is guessed
        raise ValueError("argon2")
    text, version = found[0].removeprefix("argon2"), int(found["v"] or 16)
    return Argon2Hash(
        salt=salt, digest=digest, text=text, variety=found["variety"], version=version, cost=cost, passes=passes,
        lanes=lanes,
    )  # fmt: skip


def _pbkdf2(digest: Callable[[str], bytes], salt: Callable[[str], bytes]) -> Callable[[re.Match[str]], StoredHash]:
    def build(found: re.Match[str]) -> StoredHash:
        algorithm, iterations, stored = found["algorithm"] or "sha1", int(found["n"]), digest(found["hash"])
        _bounded(iterations <= MAX_ITERATIONS)
        if len(stored) != _DIGEST_SIZES[algorithm]:  # a shorter one would match more passwords, an empty one all
            raise ValueError("digest")
        return Pbkdf2Hash(salt=salt(found["salt"]), digest=stored, algorithm=algorithm, iterations=iterations)

    return build


def _scrypt(
    digest: Callable[[str], bytes], salt: Callable[[str], bytes], size: int
) -> Callable[[re.Match[str]], StoredHash]:
    def build(found: re.Match[str]) -> StoredHash:
        r, p = int(found["r"]), int(found["p"])
        # Passlib writes the logarithm. Bounded before it is taken to a power.
        exponent = found.groupdict().get("ln")
        _bounded(exponent is None or int(exponent) <= 40)
        n = int(found["n"]) if exponent is None else 1 << int(exponent)
        memory = n * r // 8
        _bounded(memory <= MAX_SCRYPT_MEMORY and memory * p <= MAX_SCRYPT_WORK and p <= MAX_LANES)
        stored = digest(found["hash"])
        if len(stored) != size or n < 2 or n & (n - 1) or n >= 1 << (16 * r):  # RFC 7914 §2
            raise ValueError("scrypt")
        return ScryptHash(salt=salt(found["salt"]), digest=stored, n=n, r=r, p=p)

    return build


def _bcrypt(prepare: Callable[[bytes, bytes], bytes]) -> Callable[[re.Match[str]], StoredHash]:
    """``prepare(password, salt)`` gives what bcrypt hashes."""

    def build(found: re.Match[str]) -> StoredHash:
        cost = int(found["cost"])
        _bounded(cost <= MAX_BCRYPT_COST)
        try:
            import_module("bcrypt")  # and not only found: one that does not load would fail at a login
        except ImportError:
            raise NotInstalled(missing("a bcrypt password hash", "bcrypt")) from None
        written = found["salt"].encode()
        salt, digest = _canonical(found["salt"], 0b110000), _canonical(found["hash"], 0b111100)
        if cost < 4 or (prepare is _hmac_sha256 and salt != written):  # the digest is keyed with the salt's text
            raise ValueError("bcrypt")
        return BcryptHash(salt=salt, digest=digest, cost=cost, prepare=lambda password: prepare(password, written))

    return build


def _whole(password: bytes, salt: bytes) -> bytes:
    return password[:_BCRYPT_BYTES]


def _hex_sha256(password: bytes, salt: bytes) -> bytes:
    """Django."""
    return hashlib.sha256(password).hexdigest().encode()


def _base64_sha256(password: bytes, salt: bytes) -> bytes:
    """Passlib's first version."""
    return base64.b64encode(hashlib.sha256(password).digest())


def _hmac_sha256(password: bytes, salt: bytes) -> bytes:
    """Passlib's second version."""
    return base64.b64encode(hmac.digest(salt, password, "sha256"))


def _canonical(text: str, mask: int) -> bytes:
    """The text with the bits of its last character that carry nothing cleared: some systems wrote them at random."""
    last = _BCRYPT_ALPHABET[_BCRYPT_ALPHABET.index(text[-1]) & mask]
    return (text[:-1] + last).encode()


def _bounded(bearable: bool) -> None:
    if not bearable:
        raise Rejected("the password hash costs more to verify than is allowed here")


def _base64(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data) != text.encode():  # one spelling of the same bytes, and no other
        raise ValueError("base64")
    return data


def _bare_base64(text: str) -> bytes:
    """Without padding, as PHC strings have it."""
    return _base64(text + "=" * (-len(text) % 4))


def _passlib_base64(text: str) -> bytes:
    """Passlib's "adapted" base 64: a dot for the plus, no padding."""
    return _bare_base64(text.replace(".", "+"))


_ARGON2: Final = argon2.PasswordHasher()
_N: Final = r"[1-9][0-9]{0,9}"
_SALT: Final = r"(?P<salt>[!-#%-~]{1,128})"  # printable ASCII but for the dollar
_B64: Final = r"(?P<hash>[A-Za-z0-9+/]{1,128}={0,2})"
_HEX: Final = r"(?P<hash>[0-9a-f]{1,256})"
_BCRYPT_SALT: Final = r"(?P<salt>[./A-Za-z0-9]{22})"
_BCRYPT_HASH: Final = r"(?P<hash>[./A-Za-z0-9]{31})"
_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], StoredHash]], ...]] = tuple(
    (re.compile(pattern), build)
    for pattern, build in (
        (
            rf"(?:argon2)?\$argon2(?P<variety>id|i|d)(?:\$v=(?P<v>16|19))?\$m=(?P<m>{_N}),t=(?P<t>{_N}),p=(?P<p>{_N})"
            r"\$(?P<salt>[A-Za-z0-9+/]{1,128})\$(?P<hash>[A-Za-z0-9+/]{1,128})",
            _argon2,
        ),
        (rf"(?:bcrypt\$)?\$2[aby]\$(?P<cost>[0-9]{{2}})\${_BCRYPT_SALT}{_BCRYPT_HASH}", _bcrypt(_whole)),
        (rf"bcrypt_sha256\$\$2[aby]\$(?P<cost>[0-9]{{2}})\${_BCRYPT_SALT}{_BCRYPT_HASH}", _bcrypt(_hex_sha256)),
        (
            rf"\$bcrypt-sha256\$2[aby],(?P<cost>[0-9]{{1,2}})\${_BCRYPT_SALT}\${_BCRYPT_HASH}",
            _bcrypt(_base64_sha256),
        ),
        (
            rf"\$bcrypt-sha256\$v=2,t=2b,r=(?P<cost>[0-9]{{1,2}})\${_BCRYPT_SALT}\${_BCRYPT_HASH}",
            _bcrypt(_hmac_sha256),
        ),
        (rf"pbkdf2_(?P<algorithm>sha1|sha256)\$(?P<n>{_N})\${_SALT}\${_B64}", _pbkdf2(_base64, str.encode)),
        (
            rf"pbkdf2:(?P<algorithm>sha1|sha256|sha384|sha512):(?P<n>{_N})\${_SALT}\${_HEX}",
            _pbkdf2(bytes.fromhex, str.encode),
        ),
        (
            rf"\$pbkdf2(?:-(?P<algorithm>sha256|sha512))?\$(?P<n>{_N})\$(?P<salt>[./A-Za-z0-9]{{0,128}})"
            r"\$(?P<hash>[./A-Za-z0-9]{1,128})",
            _pbkdf2(_passlib_base64, _passlib_base64),
        ),
        (rf"scrypt\$(?P<n>{_N})\${_SALT}\$(?P<r>{_N})\$(?P<p>{_N})\${_B64}", _scrypt(_base64, str.encode, 64)),
        (rf"scrypt:(?P<n>{_N}):(?P<r>{_N}):(?P<p>{_N})\${_SALT}\${_HEX}", _scrypt(bytes.fromhex, str.encode, 64)),
        (
            rf"\$scrypt\$ln=(?P<ln>{_N}),r=(?P<r>{_N}),p=(?P<p>{_N})\$(?P<salt>[A-Za-z0-9+/]{{0,128}})"
            r"\$(?P<hash>[A-Za-z0-9+/]{1,128})",
            _scrypt(_bare_base64, _bare_base64, 32),
        ),
    )
)
