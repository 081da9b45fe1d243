"""The ROCA fingerprint (CVE-2017-15361): RSA moduli that one library made guessable.

That library's primes are ``k * M + (65537 ** a mod M)`` with ``M`` a product of the first small primes, so such a
modulus is a power of 65537 modulo each of them. A random modulus has this property for all of them with a chance of
about 2 ** -27. Nemec, Sys, Svenda, Klinec, Matyas: "The Return of Coppersmith's Attack", ACM CCS 2017, section 3.
"""

from __future__ import annotations

from typing import Final

_PRIMES: Final = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
_MORE_PRIMES: Final = (101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167)


def _powers(prime: int) -> frozenset[int]:
    """The subgroup that 65537 generates modulo ``prime``."""
    found: set[int] = set()
    power = 1
    while power not in found:
        found.add(power)
        power = power * 65537 % prime
    return frozenset(found)


_FINGERPRINT: Final = tuple((prime, _powers(prime)) for prime in _PRIMES + _MORE_PRIMES)


def is_roca_weak(modulus: int) -> bool:
    """Whether this RSA modulus has the fingerprint. Such a key can be factored and must not be used."""
    return all(modulus % prime in powers for prime, powers in _FINGERPRINT)
