"""What a request costs in the verifier, beside the bare primitives: processor time, no I/O.

In memory, over a store that holds nothing but these sessions: neither a hit nor the first sight of an access token asks
the store. (One exception is left out: for a minute after a *new* store was made, first sights do.)
"""

from __future__ import annotations

import hmac
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from ... import ApplicationSubjects, Auth, Mode, Policy
from ...credentials.keyring import SigningKey
from ...stores.base import FeedRead
from ...stores.memory import MemoryStore
from .guest import credential, credential_of

_HITS: Final = 2000
_FIRST_SIGHTS: Final = 40
_PRIMITIVES: Final = 40
"""Of each in one slice: a millisecond or some."""

Slice = Callable[[], Awaitable[float]]
"""Does something some times over. Gives the microseconds of processor time that one took."""


class _Settled(MemoryStore):
    """A store that is not new: its feed has always been there."""

    async def events(self, cursor: str | None, *, wait: float) -> FeedRead:
        """As it is, and complete since ever."""
        return replace(await super().events(cursor, wait=wait), since=0.0)


async def measure(policy: Policy, seconds: float) -> dict[str, Any]:
    """Medians of alternating slices. ``access_token`` is None where the policy's modes have none."""
    async with Auth(_Settled(), secret=secrets.token_bytes(32), policy=policy, subjects=ApplicationSubjects()) as auth:
        slices = await _slices(auth)
        rounds: dict[str, list[float]] = {name: [] for name in slices}
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or not rounds["hit"]:
            for name, one in slices.items():
                rounds[name].append(await one())
        found = {name: statistics.median(values) for name, values in rounds.items()}
    access = None
    if "access" in found:
        names = {"algorithm": policy.signing_algorithm}
        access = names | {"first_sight_us": found["access"], "primitive_us": found["signature"]}
    return {"hit_us": found["hit"], "access_token": access, "hmac_us": found["hmac"]}


async def _slices(auth: Auth) -> dict[str, Slice]:
    has_tokens = [mode for mode in auth.policy.modes if mode is not Mode.SESSION]
    made = await auth.login("ann", mode=has_tokens[0] if has_tokens else Mode.SESSION)
    presented = credential_of(made)
    await auth.verify(presented)
    key, known = presented.key, auth.known

    def hit() -> None:
        known(key)

    found = {"hit": _repeated(hit, _HITS), "hmac": _repeated(_bare_mac(), _HITS)}
    if made.access_token is not None:
        signing = auth.access_tokens.keyring.keys[-1]
        found["signature"] = _repeated(_bare_signature(signing, made.access_token.rpartition(".")[0]), _PRIMITIVES)
        found["access"] = _first_sights(auth, made.session.mode, made.access_token)
    return found


def _repeated(work: Callable[[], object], times: int) -> Slice:
    async def once() -> float:
        began = time.thread_time_ns()
        for _ in range(times):
            work()
        return (time.thread_time_ns() - began) / times / 1000

    return once


def _first_sights(auth: Auth, mode: Mode, token: str) -> Slice:
    claims = auth.access_tokens.read(token, now=auth.clock.now())

    async def once() -> float:
        others = [msgspec.structs.replace(claims, jti=secrets.token_urlsafe(16)) for _ in range(_FIRST_SIGHTS)]
        tokens = [auth.access_tokens.issue(other, now=auth.clock.now()) for other in others]
        credentials = [credential(mode, token) for token in tokens]
        await auth.verify(credentials.pop())  # should the lease have lapsed, this one waits for it
        began = time.thread_time_ns()
        for one in credentials:
            await auth.verify(one)
        took = time.thread_time_ns() - began
        for one in credentials:
            auth.table.remove(one.key)
        return took / len(credentials) / 1000

    return once


def _bare_mac() -> Callable[[], object]:
    """What a session token's MAC costs at least."""
    key, message = secrets.token_bytes(32), secrets.token_bytes(50)
    return lambda: hmac.digest(key, message, "sha256")


def _bare_signature(signing: SigningKey, signing_input: str) -> Callable[[], object]:
    """What verifying this token's signature costs at least: the call of `hmac` or `cryptography` alone."""
    key, message = signing.private, signing_input.encode()
    if isinstance(key, bytes):
        return lambda: hmac.digest(key, message, "sha256")
    if isinstance(key, rsa.RSAPrivateKey):
        scheme, digest = padding.PKCS1v15(), SHA256()
        mark, modulus = key.sign(message, scheme, digest), key.public_key()
        return lambda: modulus.verify(mark, message, scheme, digest)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        ecdsa = ec.ECDSA(SHA256())
        mark, point = key.sign(message, ecdsa), key.public_key()
        return lambda: point.verify(mark, message, ecdsa)
    mark, public = key.sign(message), key.public_key()
    return lambda: public.verify(mark, message)
