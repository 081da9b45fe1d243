"""All guarded connections of one process."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from .. import acts
from ..acting import asked_from
from ..clock import Clock
from ..errors import CoatcheckError, InvalidCredential, SessionEnded, StaleCredential, StoreUnavailable
from ..events import Events
from ..follower import Follower, Lease
from ..model import Event, EventKind, Identity, Mode, Standing, SubjectFacts
from ..table import Entry, Table
from ..view import RevocationView
from .body import Guard
from .questions import Questions
from .watch import LAPSED, TIME_IS_OVER, Watch

log = logging.getLogger("coatcheck.guard")

_TICK: Final = 0.25
"""Seconds between two looks at the time. The lease's deadline is met exactly; this is how late a guard may notice that
a session's time is over, or that the machine has slept, which the event loop's timers do not see."""
_ASKED_AT_ONCE: Final = 8
"""Questions to the store under way at the same time."""
_ASK_AGAIN: Final = 0.1
"""Seconds after a question that the store did not answer."""
_NEVER: Final = float("inf")

Kids = Callable[[], Mapping[str, float | None]]
"""The keys that verify, with the time at which each retires."""


class Guards:
    """Keeps the guarded connections and ends them. One per process; made in its event loop.

    ``questions``: asks the store; None where there is none. ``kids``: see `Kids`.
    """

    def __init__(
        self,
        follower: Follower,
        table: Table,
        view: RevocationView,
        clock: Clock,
        *,
        kids: Kids,
        questions: Questions | None,
        happened: Events,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.lease: Lease = follower.lease
        self.clock: Clock = clock
        self._emit = happened.emit
        self._follower = follower
        self._table = table
        self._view = view
        self._kids = kids
        self._known_kids: Mapping[str, float | None] = {}
        self._questions = questions
        self._by_session: dict[str, set[Watch]] = {}
        self._by_subject: dict[str, set[str]] = {}
        self._by_second: dict[int, set[Watch]] = {}
        """By the second in which something has to be decided."""
        self._looked = 0
        """The last second that was looked at."""
        self._doubtful: set[Watch] = set()
        self._doubt_ends = _NEVER
        self._unasked: deque[Watch] = deque()
        self._asking: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._count = 0
        follower.listener = self

    def __len__(self) -> int:
        return self._count

    def guard(self, identity: Identity, then: Callable[[Watch], None] | None = None) -> Guard:
        """See `Guard`. ``then`` is called in the step in which it ends, before the body is cancelled."""
        return Guard(self.watch, identity, then)

    async def watch(self, identity: Identity, then: Callable[[Watch], None] | None = None) -> Watch:
        """Guard a connection from now on: no event after the one that the verification knew is missed.

        An entry is removed from the table by every event that concerns it, so an identity that the table still holds
        is as good as verified now. Otherwise the store says how the session stands.

        Raises `InvalidCredential` when the identity does not stand any more, `StoreUnavailable` when nobody knows.
        """
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("a connection is guarded in the event loop in which its Auth was started")
        if not self._follower.is_live():
            await self._follower.catch_up()
        # From the last await of each way to the registration nothing can come in between.
        entry = self._entry_of(identity)
        if entry is not None:
            is_session = identity.mode is Mode.SESSION
            last = entry.absolute if is_session else entry.deadline if self._questions is None else _NEVER
            return self._register(identity, entry, entry.deadline, last, then)
        self._check_ids(identity)
        if self._questions is None:
            raise StoreUnavailable("what has happened since the verification is not known: verify again")
        standing, facts = await self._questions.ask(identity)
        self._check_ids(identity)
        self._check_facts(identity, facts)
        due, last = self._questions.times(standing)
        return self._register(identity, self._entry_from(identity, standing, due, last), due, last, then)

    def apply(self, event: Event) -> None:
        """An event: end the guards that it concerns, and look at no others. Events that were known when a connection
        was let in change nothing, however often and late they come."""
        kind, reason = event.kind, ""
        if kind is EventKind.SESSION_REVOKED:
            found, reason = self._of_session(event.session_id), "session was revoked"
        elif kind is EventKind.SUBJECT_CUT_OFF:
            of_subject = self._of_subject(event.subject)
            found = [w for w in of_subject if w.epoch < event.number and w.identity.session_id != event.session_id]
            found = [w for w in found if w.identity.access.kind not in event.spared]
            reason = "subject was cut off"
        elif kind is EventKind.SUBJECT_CHANGED:
            found = [w for w in self._of_subject(event.subject) if w.version < event.number]
            reason = "subject has changed"
        elif kind is EventKind.SESSION_CHANGED:
            of_session = self._of_session(event.session_id)
            found = [w for w in of_session if w.identity.mode is Mode.SESSION and w.edition < event.number]
            reason = "session has changed"
        elif kind is EventKind.TOKEN_REVOKED:
            found = [w for w in self._of_session(event.session_id) if w.identity.token_id == event.token_id]
            reason = "token was revoked"
        else:
            return  # the keys have yet to be loaded: `keys_loaded`
        self._end_all(found, SessionEnded(reason))

    def keys_loaded(self) -> None:
        """The keys were read. One that was withdrawn may have signed anything, so every connection that came with an
        access token ends. A new key ends none, and neither does one that has retired: its tokens had expired."""
        known, self._known_kids = self._known_kids, self._kids()
        now = self.clock.now()
        if any(kid not in self._known_kids and (at is None or now < at) for kid, at in known.items()):
            found = [w for w in self._all() if w.identity.mode is not Mode.SESSION]
            self._end_all(found, SessionEnded("a signing key was withdrawn"))

    def feed_lost(self) -> None:
        """The feed was lost: what the lease proved it proves until its deadline, and nothing after. Call it while the
        lease is still as it was."""
        self._doubt(self._all())

    def clock_jumped(self) -> None:
        """The store's clock has jumped, so that every deadline may be wrong."""
        self._doubt(self._all())

    def end(self, watch: Watch, error: CoatcheckError) -> None:
        """End one connection. Idempotent; the first reason counts."""
        if watch.ended is None and self._remove(watch):
            watch.ended = error
            if watch.then is not None:
                watch.then(watch)

    def forget(self, watch: Watch) -> None:
        """The connection is over by itself."""
        self._remove(watch)

    def used(self, watch: Watch) -> None:
        """See `Watch.use`."""
        self._table.used(watch.entry, self.clock.monotonic())

    def look(self) -> None:
        """End what has to end by now. Called by a timer while there are guards, and in tests."""
        now = self.clock.monotonic()
        if now >= self.lease.deadline:
            lapsed = [watch for watch in self._all() if watch.until is None]
            if lapsed:
                log.warning("the lease has lapsed: %d guarded connections end", len(lapsed))
                self._end_all(lapsed, StoreUnavailable(LAPSED))
        if now >= self._doubt_ends:
            self._end_all(
                [w for w in self._doubtful if w.until is not None and now >= w.until], StoreUnavailable(LAPSED)
            )
            self._doubt_ends = min((w.until for w in self._doubtful if w.until is not None), default=_NEVER)
        for watch in self._due(now):
            self._decide(watch, now)

    async def close(self) -> None:
        """Nobody follows the feed any more, so every guard ends."""
        self._closed = True
        self._end_all(self._all(), StoreUnavailable("this process stops"))
        if self._timer is not None:
            self._timer.cancel()
        asking = list(self._asking)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _entry_of(self, identity: Identity) -> Entry | None:
        now = self.clock.monotonic()
        for entry in self._table.of_session(identity.session_id):
            if now < entry.deadline and (entry.identity is identity or entry.identity == identity):
                return entry
        return None

    def _check_ids(self, identity: Identity) -> None:
        """What the view knows by name. Raises `RevokedCredential`, and `SessionEnded` for a token that has expired."""
        self._view.check_access(
            session_id=identity.session_id, token_id=identity.token_id, subject=identity.subject,
            epoch=_ANY, version=_ANY,
        )  # fmt: skip
        if self.clock.now() >= identity.expires:
            raise SessionEnded(TIME_IS_OVER)

    def _check_facts(self, identity: Identity, facts: SubjectFacts) -> None:
        """Nobody knows at which version this identity was verified, so it counts if it would say the same today."""
        if identity.access.narrowed(facts.roles) != identity.roles or facts.claims != identity.claims:
            raise StaleCredential("subject has changed since")

    def _entry_from(self, identity: Identity, standing: Standing, due: float, last: float) -> Entry:
        session, now = standing.session, self.clock.monotonic()
        return Entry(
            b"", identity, due, seen=now, token_id=identity.token_id, absolute=last, saved=now,
            idle=session.idle_timeout if identity.mode is Mode.SESSION else 0.0,
            epoch=session.epoch, version=standing.version, edition=session.version,
        )  # fmt: skip

    def _register(
        self, identity: Identity, entry: Entry, due: float, last: float, then: Callable[[Watch], None] | None
    ) -> Watch:
        if self._closed:
            raise StoreUnavailable("this process stops")
        watch = Watch(self, identity, entry, due=due, last=last, then=then)
        self._by_session.setdefault(identity.session_id, set()).add(watch)
        self._by_subject.setdefault(identity.subject, set()).add(identity.session_id)
        if not self._count:
            self._looked = int(self.clock.monotonic())
        self._count += 1
        self._place(watch)
        if self._timer is None:
            self._arm()
        return watch

    def _remove(self, watch: Watch) -> bool:
        identity = watch.identity
        of_session = self._by_session.get(identity.session_id)
        if of_session is None or watch not in of_session:
            return False
        of_session.discard(watch)
        self._count -= 1
        self._unplace(watch)
        self._doubtful.discard(watch)
        if not of_session:
            del self._by_session[identity.session_id]
            sessions = self._by_subject[identity.subject]
            sessions.discard(identity.session_id)
            if not sessions:
                del self._by_subject[identity.subject]
        return True

    def _of_session(self, session_id: str) -> list[Watch]:
        return list(self._by_session.get(session_id, _NONE))

    def _of_subject(self, subject: str) -> list[Watch]:
        return [watch for session_id in self._by_subject.get(subject, ()) for watch in self._by_session[session_id]]

    def _all(self) -> list[Watch]:
        return [watch for of_session in self._by_session.values() for watch in of_session]

    def _end_all(self, watches: Iterable[Watch], error: CoatcheckError) -> None:
        for watch in watches:
            if isinstance(error, SessionEnded):
                identity = watch.identity
                with asked_from(""):  # whoever read the feed just now has not ended it
                    self._emit(
                        acts.CONNECTION_ENDED,
                        subject=identity.subject,
                        session=identity.session_id,
                        reason=error.reason,
                    )
            self.end(watch, error)

    def _place(self, watch: Watch) -> None:
        watch.slot = max(int(min(watch.due, watch.last, 1e12)), self._looked)
        self._by_second.setdefault(watch.slot, set()).add(watch)

    def _unplace(self, watch: Watch) -> None:
        there = self._by_second.get(watch.slot)
        if there is not None:
            there.discard(watch)
            if not there:
                del self._by_second[watch.slot]

    def _due(self, now: float) -> Iterator[Watch]:
        for second in range(self._looked, int(now) + 1):
            for watch in [w for w in self._by_second.get(second, _NONE) if now >= min(w.due, w.last)]:
                self._unplace(watch)
                yield watch
        self._looked = int(now)

    def _decide(self, watch: Watch, now: float) -> None:
        """A deadline has passed here. The store knows whether somebody has moved it."""
        later = watch.entry.deadline if watch.entry.idle > 0 else 0.0
        if watch not in self._by_session.get(watch.identity.session_id, _NONE):
            return  # it went while others were looked at
        if now >= watch.last:
            self._end_all([watch], SessionEnded(TIME_IS_OVER))
        elif later > now:
            watch.due = later
            self._place(watch)
        else:
            watch.due = _NEVER
            self._place(watch)
            self._doubt([watch])

    def _doubt(self, watches: list[Watch]) -> None:
        """From now on only the store can vouch for them, and no longer than the lease as it is now allows."""
        until = self.lease.deadline
        if self._questions is None:
            self._end_all(watches, StoreUnavailable("what has happened is not known: connect again"))
            return
        for watch in watches:
            if watch.until is None:  # whoever is in doubt already is being asked about, and has no longer for it
                watch.until = until
                self._doubtful.add(watch)
                self._unasked.append(watch)
        if watches and until < self._doubt_ends:
            self._doubt_ends = until
            self._arm()
        self._ask_on()

    def _ask_on(self) -> None:
        while self._unasked and len(self._asking) < _ASKED_AT_ONCE and not self._closed:
            watch = self._unasked.popleft()
            if watch in self._doubtful and self._questions is not None:
                task = self.loop.create_task(self._ask_about(self._questions, watch), name="coatcheck-guard-ask")
                self._asking.add(task)
                task.add_done_callback(self._asked)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # the application's own hook, most likely; its connection ends undecided
            log.error("a guarded session could not be asked about", exc_info=error)
        self._ask_on()

    async def _ask_about(self, questions: Questions, asked: Watch) -> None:
        """Ask about one session, for all of its guards that are in doubt."""
        try:
            standing, _ = await questions.ask(asked.identity)
        except InvalidCredential as error:
            same = [w for w in self._of_session(asked.identity.session_id) if w.identity == asked.identity]
            self._end_all(same, SessionEnded(error.reason))
            return
        except StoreUnavailable:
            await asyncio.sleep(_ASK_AGAIN)
            self._unasked.append(asked)
            return
        for watch in self._of_session(asked.identity.session_id):
            if watch.until is not None and watch.identity == asked.identity:
                self._settle(questions, watch, standing)

    def _settle(self, questions: Questions, watch: Watch, standing: Standing) -> None:
        if watch.version < standing.version:
            self._end_all([watch], SessionEnded("subject has changed"))
            return
        watch.until = None
        watch.epoch = max(watch.epoch, standing.session.epoch)
        self._doubtful.discard(watch)
        self._unplace(watch)
        watch.due, watch.last = questions.times(standing)
        self._place(watch)

    def _tick(self) -> None:
        self._timer = None
        self.look()
        self._arm()

    def _arm(self) -> None:
        """One timer for all: at the lease's deadline, or when a doubt ends, or after a tick."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._count and not self._closed:
            now = self.clock.monotonic()
            waits = (left for left in (self.lease.deadline - now, self._doubt_ends - now) if left > 0)
            self._timer = self.loop.call_later(min(_TICK, *waits), self._tick)


_NONE: Final[frozenset[Watch]] = frozenset()
_ANY: Final = 1 << 62
"""Newer than everything."""
