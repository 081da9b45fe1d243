"""HMAC that goes on from a state with the key in it."""

from __future__ import annotations

import hmac
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.credentials.mac import keyed


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
@given(key=st.binary(min_size=1, max_size=200), prefix=st.binary(max_size=150), message=st.binary(max_size=300))
def test_it_is_hmac(name: str, key: bytes, prefix: bytes, message: bytes) -> None:
    """It agrees with the standard library for keys shorter and longer than a block, each time."""
    mac = keyed(key, name, prefix=prefix)
    for _ in range(2):
        assert mac(message) == hmac.digest(key, prefix + message, name)


def test_threads_do_not_meet() -> None:
    """Many threads use one key at once and each gets the MAC of its own message."""
    mac, key = keyed(b"k" * 32), b"k" * 32
    messages = [bytes([number]) * 100_000 for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(mac, messages)) == [hmac.digest(key, message, "sha256") for message in messages]
