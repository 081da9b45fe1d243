"""A login in steps: who somebody is and how that was shown, what else is required, and the attempt in between.

    proof → what else is required? ── nothing ──→ Issuer.login
                     └── a step ──→ attempt (5 min) ── next proof ──┘

The first proof's epoch goes with the attempt to `Issuer.login`, so whatever ended the subject's sessions in between
ends the login under way too. An attempt is no session: it can do nothing but finish that login.
"""

from .attempts import LIFETIME, Attempts
from .requirement import is_complete, required
from .steps import Answer, Step, Steps, accept_once

__all__ = ["LIFETIME", "Answer", "Attempts", "Step", "Steps", "accept_once", "is_complete", "required"]
