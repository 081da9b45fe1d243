"""What the issuing process ends in one round, and what became of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from .crew import Member
from .words import Done, End, Order, Ticket


@dataclass(frozen=True)
class Ended:
    """A session that was to be ended, and when that was confirmed."""

    ticket: Ticket
    done: Done
    is_doubtful: bool = False
    """It may rightly have been refused before: its end was undone and repeated, or its login was undone."""


class Work:
    """Orders that are under way from the moment it is made."""

    def __init__(self, member: Member, orders: Sequence[Order]) -> None:
        self._member = member
        self.orders = list(orders)
        self._outcomes: list[Done] | None = None
        self._repeated: set[int] = set()
        member.send(End(orders))

    def finish(self) -> list[Done]:
        """What became of each order; waits until all are done or given up."""
        if self._outcomes is None:
            self._outcomes = list(self._member.receive())
        return self._outcomes

    def repeat(self, back: float) -> None:
        """Do again what the store, which had gone back by then, may have forgotten."""
        outcomes = self.finish()
        undone = [number for number, done in enumerate(outcomes) if done.called < back]
        again: list[Done] = self._member.ask(End([dataclasses.replace(self.orders[n], delay=0) for n in undone]))
        for number, done in zip(undone, again, strict=True):
            outcomes[number] = done
        self._repeated |= set(undone)

    def add(self, orders: Sequence[Order]) -> None:
        """Further orders, done at once."""
        outcomes = self.finish()
        outcomes += self._member.ask(End(orders))
        self.orders += orders

    def ended(self, ticket: Ticket, *, is_doubtful: bool) -> Ended:
        """What became of this ticket's session."""
        names = [order.session_id or order.subject for order in self.orders]
        number = names.index(ticket.session_id if ticket.session_id in names else ticket.subject)
        return Ended(ticket, self.finish()[number], is_doubtful or number in self._repeated)
