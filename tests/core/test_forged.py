"""Forged and malformed credentials never reach the store: every single-bit flip and every truncation, of every kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import pytest

from coatcheck import Auth, InvalidCredential, Mode, Policy
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.transport import Carrier, bearer, cookie
from coatcheck.policy import SIGNING_ALGORITHMS
from coatcheck.stores.memory import MemoryStore
from tests.support.gates import GatedStore

from .conftest import SECRET, Users

Present = Callable[[str], Awaitable[object]]


def damaged(token: str) -> Iterator[str]:
    """Each bit of each character flipped, each truncation at either end, and one character more."""
    raw = token.encode()
    for place in range(len(raw)):
        for bit in range(8):
            flipped = bytearray(raw)
            flipped[place] ^= 1 << bit
            yield flipped.decode("latin-1")
    for length in range(len(token)):
        yield token[:length]
        yield token[length + 1 :]
    yield from (token + "A", token + "=", token + " ", "A" + token, token + "\n", token * 2)


async def all_refused(store: GatedStore, token: str, present: Present) -> None:
    await present(token)  # so that the token itself is a good one, and for access tokens in memory
    store.calls.clear()
    accepted = []
    for wrong in damaged(token):
        try:
            await present(wrong)
        except InvalidCredential:
            continue
        accepted.append(wrong)
    assert not accepted
    assert store.calls.keys() <= {"events"}, "only the follower's own reads"


async def test_session_token(auth: Auth, store: GatedStore) -> None:
    """No damaged session token gets in or asks the store."""
    made = await auth.login("ann", mode=Mode.SESSION)
    await all_refused(
        store,
        made.session_token or "",
        lambda token: auth.verify(cookie(Carrier.SESSION_COOKIE, SECURE.session, token)),
    )


async def test_refresh_token(auth: Auth, store: GatedStore) -> None:
    """No damaged refresh token is exchanged or asks the store."""
    made = await auth.login("ann", mode=Mode.JWT)
    await all_refused(store, made.refresh_token or "", auth.refresh)


@pytest.mark.parametrize("algorithm", SIGNING_ALGORITHMS)
@pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE])
async def test_access_token(algorithm: str, mode: Mode) -> None:
    """No damaged access token, of whatever algorithm, gets in or asks the store."""
    store = GatedStore(MemoryStore())
    policy = Policy(signing_algorithm=algorithm)
    async with Auth(store, secret=SECRET, subjects=Users().facts, policy=policy) as auth:  # type: ignore[arg-type]
        made = await auth.login("ann", mode=mode)

        def present(token: str) -> Awaitable[object]:
            if mode is Mode.JWT:
                return auth.verify(bearer(token))
            return auth.verify(cookie(Carrier.ACCESS_COOKIE, SECURE.access, token))

        await all_refused(store, made.access_token or "", present)
