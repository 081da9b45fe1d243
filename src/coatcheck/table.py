"""The one table: credential → verified entry, for every kind of credential.

A hit is one lookup and three comparisons (see `coatcheck.verifier`). Everything else here serves to keep it so: entries
are *removed* when an event concerns them, found by session and subject, so that the hit path has nothing to check.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import replace
from typing import Any, Final

from .model import Identity, Kind

Key = bytes

TAIL: Final = 32
"""Entries are found by so many of a credential's last bytes, and then compared as a whole: hashing all of a JWT would
cost more than the rest of a hit. The last bytes are of a MAC or a signature that was verified before the entry was
made, so that nobody can make two credentials that share them."""
_ENTRY_BYTES: Final = 1730
"""Estimate of what an entry takes beside its key: the entry, its Identity without roles and claims, and its places in
the two indexes."""
_MEMBER_BYTES: Final = 100
"""Estimate of what a member of a mapping that is no dictionary takes in it."""
_SECOND_CHANCES: Final = 16
"""How many recently used entries one insertion may pass over to find a cold one."""
_FREED: Final = 16
"""Things given back at one insertion, after everything was forgotten."""
_OVER: Final = float("-inf")
_LOOKED_AT: Final = 4000
"""Entries in one part of those whose use is to be written: about a millisecond."""


class Entry:
    """One verified credential. Times are local and monotonic."""

    __slots__ = (
        "absolute", "deadline", "edition", "epoch", "identity", "idle", "key", "placed", "saved", "seen", "size",
        "token_id", "version", "written",
    )  # fmt: skip

    def __init__(
        self, key: Key, identity: Identity, deadline: float, *, seen: float, token_id: str = "",
        idle: float = 0.0, absolute: float = 0.0, saved: float = 0.0,
        epoch: int = 0, version: int = 0, edition: int = 0,
    ) -> None:  # fmt: skip
        self.key: Key = key
        self.identity: Identity = identity
        self.deadline: float = deadline
        self.seen: float = seen
        """Last hit; written by the hit path, read by eviction and by the touch task."""
        self.placed: float = seen
        """When eviction last put it at the warm end."""
        self.token_id: str = token_id
        self.idle: float = idle
        """Idle timeout in seconds; 0 for access tokens, whose use is not written back."""
        self.absolute: float = absolute
        self.saved: float = saved
        """The last use that the store knows of."""
        self.written: float = saved
        """When this process last wrote it, or the store's value of then."""
        self.epoch: int = epoch
        """The epoch that the credential counts for, the version of its subject and, of a session token, that of its
        session: a guard that stands on this entry is told by them which events are news."""
        self.version: int = version
        self.edition: int = edition
        self.size: int = 0
        """Estimated bytes it takes in the table; told when it is put in."""


class Table:
    """Bounded by entries and by bytes; evicts the coldest (second chance), which only costs a re-verification."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._by_session: dict[str, set[Key]] = {}
        self._by_subject: dict[str, set[str]] = {}
        self._bytes = 0
        self._evicted: OrderedDict[str, Entry] = OrderedDict()
        """Evicted with a use that the store does not know of, by session; as many as the table may have entries."""
        self._rubbish: list[tuple[Sized, Callable[[], object]]] = []
        """What is still to be given back after `clear`, each with what takes one thing out of it."""
        self.get: Callable[[Key], Entry | None] = self._entries.get
        """``get(key[-TAIL:]) -> Entry | None``, bound once: it is the hit path. Whoever calls it compares the key."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Estimated size in memory."""
        return self._bytes

    def put(self, entry: Entry) -> None:
        """Insert or replace."""
        if self._rubbish:
            self._free_some()
        place = entry.key[-TAIL:]
        self._take(place)
        size = entry.size = len(entry.key) + _ENTRY_BYTES + _weight(entry.identity)
        if size > self._max_bytes:  # alone too large: verified anew each time, and nobody else gives way
            return
        while self._entries and (len(self._entries) >= self._max_entries or self._bytes + size > self._max_bytes):
            self._evict()
        self._entries[place] = entry
        self._bytes += size
        self._by_session.setdefault(entry.identity.session_id, set()).add(place)
        self._by_subject.setdefault(entry.identity.subject, set()).add(entry.identity.session_id)

    def remove(self, key: Key) -> None:
        """Forget one credential. Idempotent."""
        entry = self._entries.get(key[-TAIL:])
        if entry is not None and entry.key == key:
            self._take(key[-TAIL:])

    def _take(self, place: Key) -> None:
        entry = self._entries.pop(place, None)
        if entry is None:
            return
        self._bytes -= entry.size
        identity = entry.identity
        places = self._by_session[identity.session_id]
        places.discard(place)
        if places:
            return
        del self._by_session[identity.session_id]
        sessions = self._by_subject[identity.subject]
        sessions.discard(identity.session_id)
        if not sessions:
            del self._by_subject[identity.subject]

    def clear(self) -> None:
        """Forget everything; each credential is verified again at its next sight."""
        entries = list(self._entries.values())
        rubbish = (self._by_session, self._by_subject, self._evicted)
        # Cleared and not replaced: `get` is of this one. That the list holds what was in it makes it quick.
        self._entries.clear()
        self._by_session, self._by_subject, self._evicted = {}, {}, OrderedDict()
        self._bytes = 0
        self._rubbish += [(entries, entries.pop), *((each, each.popitem) for each in rubbish)]

    def _free_some(self) -> None:
        """Give back a little of what `clear` has left: all of it at once would stop requests for a moment."""
        left, pop = self._rubbish[-1]
        for _ in range(min(len(left), _FREED)):
            pop()
        if not left:
            self._rubbish.pop()

    def remove_session(self, session_id: str) -> None:
        """Forget every credential of the session."""
        for place in tuple(self._by_session.get(session_id, ())):
            self._take(place)

    def remove_subject(self, subject: str, excepted: str = "", spared: frozenset[Kind] = frozenset()) -> None:
        """Forget every credential of the subject, but for one session's and for those of some kinds."""
        for session_id in tuple(self._by_subject.get(subject, ())):
            if session_id != excepted and not (spared and self._kind_of(session_id) in spared):
                self.remove_session(session_id)

    def _kind_of(self, session_id: str) -> Kind | None:
        return next((entry.identity.access.kind for entry in self.of_session(session_id)), None)

    def remove_token(self, session_id: str, token_id: str) -> None:
        """Forget one access token."""
        for place in tuple(self._by_session.get(session_id, ())):
            entry = self._entries.get(place)
            if entry is not None and entry.token_id == token_id:
                self._take(place)

    def withdraw_access_tokens(self) -> None:
        """No access token is a hit any more: the keys have changed. The time of each is over at once, and it goes as
        one whose time is over by itself: taking all of them out would stop requests for several times as long."""
        for entry in self._entries.values():
            if not entry.idle:  # told without its identity, which lies elsewhere in memory
                entry.deadline = _OVER

    def entry_of(self, identity: Identity) -> Entry | None:
        """The entry of this very identity, None where it is here no more."""
        return next((entry for entry in self.of_session(identity.session_id) if entry.identity is identity), None)

    def grow(self, entry: Entry, size: int) -> None:
        """So many bytes more are kept with an entry that is here; where there is no room for them, the coldest goes."""
        entry.size += size
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._evict()

    def of_session(self, session_id: str) -> Iterator[Entry]:
        """The entries of one session."""
        for place in tuple(self._by_session.get(session_id, ())):
            entry = self._entries.get(place)
            if entry is not None:
                yield entry

    def used(self, entry: Entry, now: float) -> None:
        """Note a use that no lookup has seen, of an entry that may have gone."""
        entry.seen = now
        if entry.idle > 0 and self._entries.get(entry.key[-TAIL:]) is not entry:
            self._keep_unsaved(entry)

    def due(self, now: float, interval: float) -> list[Entry]:
        """Entries with a use that the store does not know of, last written at least ``interval`` seconds ago. Of those
        that were evicted, each is given once."""
        return [entry for part in self.due_in_parts(now, interval) for entry in part]

    def due_in_parts(self, now: float, interval: float) -> Iterator[list[Entry]]:
        """`due`, so many entries looked at in one go, so that between two parts others may have a turn. What they
        change meanwhile may be in it twice, or not yet."""
        entries = list(self._entries.values())
        for start in range(0, len(entries), _LOOKED_AT):
            part = entries[start : start + _LOOKED_AT]
            yield [e for e in part if _is_unsaved(e) and now - e.written >= interval]
        evicted = [e for e in self._evicted.values() if now - e.written >= interval]
        for entry in evicted:
            del self._evicted[entry.identity.session_id]
        yield evicted

    def _evict(self) -> None:
        for _ in range(min(_SECOND_CHANCES, len(self._entries) - 1)):
            place, entry = next(iter(self._entries.items()))
            if entry.seen <= entry.placed:
                break
            entry.placed = entry.seen
            self._entries.move_to_end(place)
        place, entry = next(iter(self._entries.items()))
        self._take(place)
        if _is_unsaved(entry):
            self._keep_unsaved(_without_weight(entry))

    def _keep_unsaved(self, entry: Entry) -> None:
        self._evicted[entry.identity.session_id] = entry
        if len(self._evicted) > self._max_entries:
            self._evicted.popitem(last=False)


def _weight(identity: Identity) -> int:
    """Estimated bytes of roles and claims, each thing counted once. What several entries share counts for each."""
    if not identity.claims:  # as most are, so without a walk
        return sys.getsizeof(identity.roles) + sum(map(sys.getsizeof, identity.roles)) if identity.roles else 0
    total, seen, left = 0, set[int](), [identity.roles, identity.claims]
    while left:
        one: Any = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        if isinstance(one, Mapping):
            total += 0 if isinstance(one, dict) else _MEMBER_BYTES * len(one)
            left += one.keys()
            left += one.values()
        elif isinstance(one, (list, tuple, set, frozenset)):
            left += one
    return total


def _without_weight(entry: Entry) -> Entry:
    """What writing its last use needs of an entry, and no more."""
    bare = replace(entry.identity, roles=frozenset(), claims={})
    kept = Entry(entry.key, bare, entry.deadline, seen=entry.seen, idle=entry.idle, absolute=entry.absolute)
    kept.saved = entry.saved
    kept.written = entry.written
    return kept


def _is_unsaved(entry: Entry) -> bool:
    return entry.idle > 0 and entry.seen > entry.saved
