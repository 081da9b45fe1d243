"""What only the store can say of a guarded session."""

from __future__ import annotations

from ..clock import Clock
from ..errors import RevokedCredential, StaleCredential, StoreUnavailable
from ..follower import Follower
from ..model import Identity, Mode, Standing, SubjectFacts
from ..policy import Policy
from ..stores.base import SessionStore
from ..subjects import SubjectSource, facts_from
from ..view import Overtaken, RevocationView

_TRIES = 5


class Questions:
    """Asks the store whether a session lives, by the rules of a fill: under a lease, of the same feed, and checked
    against the view in one step with what the caller does next."""

    def __init__(
        self,
        sessions: SessionStore,
        subjects: SubjectSource,
        follower: Follower,
        view: RevocationView,
        clock: Clock,
        policy: Policy,
    ) -> None:
        self._sessions = sessions
        self._subjects = subjects
        self._follower = follower
        self._view = view
        self._clock = clock
        self._policy = policy

    async def ask(self, identity: Identity) -> tuple[Standing, SubjectFacts]:
        """How the session stands. Raises `RevokedCredential`, `StaleCredential` or `StoreUnavailable`."""
        floors: tuple[int, int] | None = None
        for _ in range(_TRIES):
            if not self._follower.is_live():
                await self._follower.catch_up()
            era = self._follower.era
            standing = await self._sessions.find(identity.session_id, now=self._clock.now())
            if standing is None or standing.session.subject != identity.subject:
                raise RevokedCredential("session is not live")
            facts = await facts_from(self._subjects, identity.subject)
            if facts is None:
                raise RevokedCredential("subject is unknown or disabled")
            if not self._follower.is_live() or self._follower.era != era:
                continue
            try:
                # From here on the caller must not await anything before it has acted.
                self._view.check_standing(standing)
            except Overtaken:
                session = standing.session
                if floors is not None and (session.version < floors[0] or standing.version < floors[1]):
                    # It was known before the store was asked, so the store has lost it.
                    self._follower.lose("the store does not know of a change that was made")
                floors = self._view.floors(standing)
                continue
            session = standing.session
            if identity.mode is Mode.SESSION and (session.authenticated, session.amr) != (
                identity.auth_time,
                identity.amr,
            ):
                raise StaleCredential("session has changed since")
            return standing, facts
        raise StoreUnavailable("the store's answers were overtaken again and again")

    def times(self, standing: Standing) -> tuple[float, float]:
        """Until when this answer does, and when the session ends for good. A connection that came with an access token
        is asked about as often as a client has to refresh its token."""
        session = standing.session
        due = min(session.idle_deadline, session.absolute_deadline)
        if session.mode is not Mode.SESSION:
            due = min(due, self._clock.now() + self._policy.access_lifetime)
        return self._clock.local(due), self._clock.local(session.absolute_deadline)
