"""The two encodings of the wire, each with exactly one spelling per value: base64url and JSON.

base64url is RFC 4648 §5 without padding (RFC 7515 §2). Decoding refuses what RFC 4648 §3 lets a decoder refuse:
padding, foreign characters, white space, and bits that are set where nothing is encoded.
"""

from __future__ import annotations

import binascii
import json
import math
from collections.abc import Callable
from typing import Any, Final, NoReturn

import msgspec

from coatcheck.errors import MalformedCredential

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_FOREIGN: Final = bytes(char for char in range(256) if char not in _ALPHABET)
_TO_STANDARD: Final = bytes.maketrans(b"-_" + _FOREIGN, b"+/" + b"!" * len(_FOREIGN))
"""Every byte that is not in base64url's alphabet becomes one that no alphabet has: the standard alphabet's own ``+/=``
are refused too, and what JSON would take for the end of a string or an escape."""
_FROM_STANDARD: Final = bytes.maketrans(b"+/", b"-_")
_END: Final = (b'"', b'!"', b'=="', b'="')
"""The padding that a text of this length modulo 4 lacks, and the quotation mark."""
_LAST: Final = (frozenset[int](), frozenset[int](), frozenset(b"AQgw"), frozenset(b"AEIMQUYcgkosw048"))
"""The characters that may end a text of length 2 or 3 modulo 4: those whose unused bits are zero."""

_decode_string: Final = msgspec.json.Decoder(bytes).decode
"""From a JSON string in standard base64: twice as fast as `binascii.a2b_base64`, and as strict."""


def encode(raw: bytes) -> str:
    """The unpadded base64url spelling of ``raw``."""
    return binascii.b2a_base64(raw, newline=False).translate(_FROM_STANDARD).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """The bytes that ``text`` spells. Raises `MalformedCredential` unless ``encode`` would give ``text`` again."""
    try:
        data = text.encode("ascii")
        rest = len(data) & 3
        if rest and data[-1] not in _LAST[rest]:
            raise MalformedCredential("not canonical base64url")
        return _decode_string(b'"' + data.translate(_TO_STANDARD) + _END[rest])
    except ValueError:
        raise MalformedCredential("not canonical base64url") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


_loads: Final[Callable[..., Any]] = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite
).decode


def parse_json(data: bytes) -> Any:
    """Parse JSON that others wrote: keys, key sets and headers at configuration time, and tokens under inspection.

    White space and any order of members are fine; duplicate members at any depth, NaN and infinities, broken UTF-8,
    lone surrogates and nesting without end are not. Raises `ValueError` with one line that says which.
    """
    try:
        value = _loads(data.decode("utf-8"))
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise ValueError("the text is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg}") from None
    return value
