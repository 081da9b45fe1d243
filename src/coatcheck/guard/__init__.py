"""Long-lived connections end when what they stand on ends: within the same bound as requests.

`Guards` keeps the open ones, found by session and by subject. The follower tells it of each event in the same step in
which the view and the table learn of it. What ends a guard is what would have its credential refused, and:

- *The lease lapses.* From then on nobody knows, so every guard ends at the lease's deadline.
- *The feed is lost.* What came between is unknown, so the store is asked about each guarded session, and who has no
  answer by the time at which the old lease would have lapsed ends then.
- *Its time is over*: at the absolute deadline of a session. At its idle deadline, and where an access token would have
  to be refreshed, the store is asked. Where there is no store, a guard ends with its access token.

`tests/core/guard_model.py` shows that these rules hold together and break without any one. Everything here runs in the
event loop of its `Auth`, but for `Watch.check` and `Watch.close_soon`.
"""

from .body import Guard, Interrupt
from .guards import Guards
from .questions import Questions
from .watch import Watch

__all__ = ["Guard", "Guards", "Interrupt", "Questions", "Watch"]
