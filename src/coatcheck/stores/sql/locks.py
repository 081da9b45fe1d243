"""What transactions on PostgreSQL wait for when they must come one after the other.

A lock is an advisory one, two 32-bit numbers within the database: ours are told from an application's by the first.
Taken at a transaction's beginning, it makes plain READ COMMITTED statements as good as serial ones: the holder before
has committed, so all that it did is seen.
"""

from __future__ import annotations

import hashlib
from typing import Final

from ...credentials.opaque import is_session_id, session_slot, subject_slot

Lock = tuple[int, int]

_SLOTS: Final = 0x0CCA_0001
_SINGLE: Final = 0x0CCA_0002

KEYS: Final[Lock] = (_SINGLE, 1)
"""The signing keys as a whole."""
SCHEMA: Final[Lock] = (_SINGLE, 2)
"""The tables."""


def subject_lock(subject: str) -> Lock:
    """Of a subject and its sessions; 65,536 of them serve all subjects."""
    return _SLOTS, int.from_bytes(subject_slot(subject), "big")


def session_lock(session_id: str) -> Lock:
    """Of the session's subject, which its id names."""
    slot = session_slot(session_id) if is_session_id(session_id) else hashlib.sha256(session_id.encode()).digest()[:2]
    return _SLOTS, int.from_bytes(slot, "big")
