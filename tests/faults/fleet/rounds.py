"""One round: people log in, a fault happens, sessions are ended before, during and after it, and the oracle looks."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from coatcheck import Credential, Policy
from coatcheck.clock import boottime
from tests.support.histories import History

from .crew import Fleet, Member
from .faults import Fault, let_it_last
from .words import End, Find, Forge, Hold, Issue, Order, Report, Sight, Ticket
from .work import Ended, Work

SINGLES: Final = 8
"""Sessions of a round that are ended one by one, each of a subject of its own."""
PAIRS: Final = 3
"""Subjects of a round with two sessions that are ended everywhere; one of them keeps one."""
LEAD: Final = 0.15
"""Seconds from the first revocations to the fault."""
REMEMBERED: Final = 12
"""Credentials ended in earlier rounds that are presented all the same."""
AT_ONCE: Final = 50
"""Credentials that are presented to a fresh process at a time: what it refuses costs a look into the store."""
INTERRUPTION: Final = 0.1
"""Seconds without service from which it counts as interrupted; less than this is a busy machine."""
RECOVERY: Final = 30.0
"""Seconds after a fault within which everything has to work again."""


SINCE: Final = 4
"""Logins between a backup and its restore."""
NEARLY: Final = 60.0
"""Seconds before a deadline: a round takes that long at most."""
FILLING: Final = 12
"""Events after a restore, so that positions reach where they were before."""


@dataclass
class Result:
    """What was seen in one round. Every list of texts is empty when all is well."""

    fault: str
    lasted: float = 0.0
    revocations: int = 0
    sessions: int = 0
    """Sessions that were ended, and each is presented to every verifying process."""
    failed_tries: int = 0
    acceptances: int = 0
    late: list[str] = field(default_factory=list)
    """Accepted later than the bound after its revocation was confirmed."""
    unauthorised: list[str] = field(default_factory=list)
    """Accepted although it never was valid."""
    lost: list[str] = field(default_factory=list)
    """A confirmed revocation of which the store knows nothing."""
    shut_out: list[str] = field(default_factory=list)
    """Refused although it is valid."""
    broken: list[str] = field(default_factory=list)
    """Something that should never happen otherwise: a wrong error, no recovery, a revocation never confirmed."""
    delays: list[float] = field(default_factory=list)
    """Seconds from a confirmed revocation to the last acceptance, per session and verifying process."""
    verifying_again: list[float] = field(default_factory=list)
    """Seconds after the fault at which each verifying process served again; 0 for one that never stopped."""
    revoking_again: list[float] = field(default_factory=list)
    """Seconds after the fault at which a revocation that had failed was confirmed."""

    @property
    def failures(self) -> list[str]:
        return [*self.late, *self.unauthorised, *self.lost, *self.shut_out, *self.broken]


class Rounds:
    """Plays rounds on one fleet and remembers what was ended in all of them."""

    def __init__(self, fleet: Fleet, random: Random) -> None:
        self._fleet = fleet
        self._random = random
        self._number = 0
        self._forged: Mapping[str, Credential] = fleet.issuing.ask(Forge())
        self.ended: list[Ended] = []
        self.living: list[Ticket] = []

    def play(self, fault: Fault) -> Result:
        """Until everything works again and the bound has passed for every revocation."""
        self._number += 1
        fault.prepare(self._fleet, self._random)
        result = Result(fault.name)
        self._fleet.place.clock.furthest = 0.0
        singles, pairs, stay = self._log_in()
        # The first of the pairs keeps its first session, unless its deadline may pass; of the others, both end.
        excepted, fates = pairs[0][0], [*singles, *(ticket for pair in pairs for ticket in pair)]
        ends = [ticket for ticket in fates if ticket is not excepted or fault.steps]
        stay = stay if fault.steps else [*stay, excepted]
        old = self._random.sample(self.ended, min(len(self.ended), REMEMBERED))
        history = fault.history(self._fleet)
        since = self._save(history) if history is not None else []
        held = [*ends, *stay, *since, *(one.ticket for one in old)]
        self._hold(held, {*ends, *stay, *since}, self._fleet.verifying)

        work = Work(self._fleet.issuing, self._orders(singles, pairs, fault.longest + LEAD, keep=not fault.steps))
        time.sleep(LEAD)
        if history is not None and history.must_be_closed:
            work.finish()  # who does it is about to end
        began = boottime()
        with fault.happening(self._fleet, self._random):
            if history is not None:
                self._go_on(history, work, held, stay, since)
            result.lasted = let_it_last(fault, self._random)
        over = began if fault.heals_itself else boottime()
        self._fleet.place.wait_until_whole()
        outcomes = work.finish()
        ended = [work.ended(ticket, is_doubtful=ticket in since) for ticket in (*ends, *since)]
        self._recover(stay, over, result)
        self._wait_for_the_bound(ended)
        self._look(ended, old, stay, over, result)
        result.revocations = len(work.orders)
        result.failed_tries = sum(done.failed for done in outcomes)
        result.revoking_again = [
            max(0.0, done.returned - over) for done in outcomes if done.failed and done.returned is not None
        ]
        self.ended += [
            dataclasses.replace(one, is_doubtful=one.is_doubtful or self._outlived(one.ticket))
            for one in ended
            if one.done.returned is not None
        ]
        if fault.steps:
            self._fleet.settle()  # what is issued by a clock that is still ahead would take the store's with it
        self.living = stay
        return result

    def check_with_a_fresh_process(self) -> list[str]:
        """A process that has seen nothing refuses all that was ever ended, and accepts what lives. The failures."""
        named = {one.ticket.name: one.ticket.credential for one in self.ended} | dict(self._forged)
        living = {ticket.name: ticket.credential for ticket in self.living}
        seen: dict[str, Sight] = {}
        everything = [*(named | living).items()]
        with self._fleet.fresh() as member:
            for start in range(0, len(everything), AT_ONCE):
                member.ask(Hold(dict(everything[start : start + AT_ONCE])))
                _eventually(lambda: all(sight.accepted or sight.refused for sight in member.ask(Report()).values()))
                seen |= member.ask(Report())
        wrong = [f"{name}: accepted by a fresh process" for name in named if seen[name].accepted]
        return wrong + [f"{name}: refused by a fresh process" for name in living if seen[name].refused]

    def _log_in(self) -> tuple[list[Ticket], list[list[Ticket]], list[Ticket]]:
        modes, here = self._fleet.place.modes, f"round {self._number}"
        logins = [(f"{here}, single {n}", f"{here} s{n}", self._random.choice(modes)) for n in range(SINGLES)]
        for n in range(PAIRS):
            logins += [(f"{here}, pair {n}.{m}", f"{here} p{n}", self._random.choice(modes)) for m in range(2)]
        logins += [(f"{here}, stays {mode}", f"{here} stays", mode) for mode in modes]
        tickets: list[Ticket] = self._fleet.issuing.ask(Issue(logins))
        pairs = tickets[SINGLES : SINGLES + 2 * PAIRS]
        return tickets[:SINGLES], [pairs[n : n + 2] for n in range(0, len(pairs), 2)], tickets[SINGLES + 2 * PAIRS :]

    def _save(self, history: History) -> list[Ticket]:
        """Save the store, and log some more people in, each with an epoch that the store will have forgotten."""
        history.save()
        here, modes = f"round {self._number}", self._fleet.place.modes
        logins = [(f"{here}, since {n}", f"{here} since {n}", self._random.choice(modes)) for n in range(SINCE)]
        self._fleet.issuing.ask(End([Order(delay=0, subject=subject) for _, subject, _ in logins]))
        tickets: list[Ticket] = self._fleet.issuing.ask(Issue(logins))
        return tickets

    def _go_on(
        self, history: History, work: Work, held: Sequence[Ticket], stay: Sequence[Ticket], since: Sequence[Ticket]
    ) -> None:
        """The store has just gone back. What was ended since it was saved may live again, and what was made since may
        be gone: all of it is ended, again or for the first time, and from then on the guarantee holds."""
        back = boottime()
        if history.must_be_closed:  # those that have it open have been started anew
            self._hold(held, set(stay), [one for one in self._fleet.verifying if not one.setup.service_key])
        work.repeat(back)
        work.add([
            Order(delay=0, subject=one.subject, session_id=one.session_id if n % 2 else "")
            for n, one in enumerate(since)
        ])  # fmt: skip
        for _ in range(FILLING):
            self._fleet.issuing.call("subject_changed", "filling")

    def _hold(self, tickets: Iterable[Ticket], valid: set[Ticket], members: Sequence[Member]) -> None:
        """These verifying processes have accepted what is valid before anything happens."""
        credentials = {ticket.name: ticket.credential for ticket in tickets} | dict(self._forged)
        for member in members:
            member.ask(Hold(credentials))
        for member in members:

            def accepted(member: Member = member) -> bool:
                seen: dict[str, Sight] = member.ask(Report())
                return all(seen[ticket.name].accepted for ticket in valid)

            _eventually(accepted)

    def _orders(
        self, singles: Sequence[Ticket], pairs: Sequence[Sequence[Ticket]], until: float, *, keep: bool
    ) -> list[Order]:
        """Some right before the fault, the others at any time from then on. ``keep``: the first pair's first one."""
        delays = [self._random.uniform(0.8, 1.0) * LEAD if n % 3 == 0 else self._random.uniform(0, until)
                  for n in range(len(singles) + len(pairs))]  # fmt: skip
        orders = [
            Order(delay=delay, subject=ticket.subject, session_id=ticket.session_id)
            for ticket, delay in zip(singles, delays, strict=False)
        ]
        for number, (pair, delay) in enumerate(zip(pairs, delays[len(singles) :], strict=True)):
            excepted = pair[0].session_id if number == 0 and keep else None
            orders.append(Order(delay=delay, subject=pair[0].subject, excepted=excepted))
        return orders

    def _recover(self, stay: Sequence[Ticket], over: float, result: Result) -> None:
        """Until every verifying process accepts again what is valid."""
        give_up = boottime() + RECOVERY
        for member in self._fleet.verifying:
            while True:
                seen: dict[str, Sight] = member.ask(Report())
                waiting = [one.name for one in stay if seen[one.name].last <= over and not seen[one.name].refused]
                if not waiting:
                    break
                if boottime() > give_up:
                    result.broken.append(f"no recovery in {RECOVERY:.0f} s: {', '.join(waiting)}")
                    break
                time.sleep(0.02)

    def _wait_for_the_bound(self, ended: Sequence[Ended]) -> None:
        until = max((one.done.returned or 0.0) for one in ended) + self._fleet.max_staleness + 0.1
        while boottime() < until:
            time.sleep(0.02)

    def _look(
        self, ended: Sequence[Ended], old: Sequence[Ended], stay: Sequence[Ticket], over: float, result: Result
    ) -> None:
        for number, member in enumerate(self._fleet.verifying):
            seen: dict[str, Sight] = member.ask(Report())
            for one in (*ended, *old):
                self._judge(f"{one.ticket.name} at process {number}", one, seen[one.ticket.name], result)
            result.delays += [max(0.0, seen[one.ticket.name].last - (one.done.returned or 0.0)) for one in ended]
            for name in self._forged:
                if seen[name].accepted:
                    result.unauthorised.append(f"{name} at process {number}")
            for ticket in stay:
                if seen[ticket.name].refused and not self._outlived(ticket):
                    result.shut_out.append(f"{ticket.name} at process {number}: {seen[ticket.name].why}")
            result.broken += [f"{name}: {text}" for name, sight in seen.items() for text in sight.failures]
            result.acceptances += sum(sight.accepted for sight in seen.values())
            gaps = [seen[one.name] for one in stay if seen[one.name].gap > INTERRUPTION]
            result.verifying_again.append(max([0.0, *(sight.resumed - over for sight in gaps)]))
        result.sessions = len(ended)
        alive = set(self._fleet.issuing.ask(Find([one.ticket.session_id for one in (*ended, *old)])))
        result.lost += [
            one.ticket.name for one in (*ended, *old) if one.ticket.session_id in alive and one.done.returned
        ]
        there = set(self._fleet.issuing.ask(Find([ticket.session_id for ticket in stay])))
        gone = [one for one in stay if one.session_id not in there and not (one.is_session and self._outlived(one))]
        result.shut_out += [f"{one.name} is gone from the store" for one in gone]

    def _outlived(self, ticket: Ticket) -> bool:
        """Whether the store's clock has been past the ticket's deadline, or nearly."""
        policy = Policy()
        deadline = policy.session.idle if ticket.is_session else policy.access_lifetime
        return self._fleet.place.clock.furthest > deadline - NEARLY

    def _judge(self, what: str, ended: Ended, sight: Sight, result: Result) -> None:
        """The oracle: the guarantee, to the letter and without tolerance."""
        done, is_doubtful = ended.done, ended.is_doubtful or self._outlived(ended.ticket)
        if done.returned is None:
            result.broken.append(f"{what}: never confirmed")
            return
        after = sight.last - done.returned
        if after > self._fleet.max_staleness:
            result.late.append(f"{what}: accepted {after:.3f} s after the revocation was confirmed")
        if sight.refused_at < done.called and not done.failed and not is_doubtful:
            early = f"{done.called - sight.refused_at:.3f} s before it was revoked"
            result.shut_out.append(f"{what}: refused {early}: {sight.why}")


def _eventually(probe: object) -> None:
    assert callable(probe)
    give_up = boottime() + RECOVERY
    while not probe():
        assert boottime() < give_up, "it never happened"
        time.sleep(0.01)
