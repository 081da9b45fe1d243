"""Who may register here: everybody, who was invited, or nobody (`Policy.registration`). One rule for JSON and pages."""

from __future__ import annotations

from typing import Final

from ... import acts
from ...accounts import invitations
from ...accounts.invitations import Invitation
from ...adapters.problems import Problem
from ...auth import Auth
from ...model import Account
from ...web.refusals import Refusal

INVITATION_NEEDED: Final = Problem(
    403, "invitation_needed", "Accounts are made here by invitation. Ask an administrator for one."
)


def is_offered(auth: Auth) -> bool:
    """Whether anybody can register."""
    return auth.has_accounts and auth.policy.registration != "closed"


def needs_invitation(auth: Auth) -> bool:
    """Whether nobody can without having been invited."""
    return auth.policy.registration == "invited"


def invitation_of(auth: Auth, token: str) -> Invitation | None:
    """The invitation; None for none, and for one that has ended or is none."""
    return invitations.read(auth.opaque, token, now=auth.clock.now()) if token else None


async def register(auth: Auth, email: str, password: str, *, invitation: str = "", ip: str = "") -> Account:
    """Make an account. Raises as `Accounts.register` does, and `Refusal` ``invitation_needed`` where one is needed and
    there is none for this address, before anything is counted; and for one that is no good, wherever it is given."""
    found = invitation_of(auth, invitation)
    if found is not None and not found.is_for(email):
        found = None
    if found is None and (invitation or needs_invitation(auth)):
        auth.events.emit(acts.ACCOUNT_REFUSED, reason="no invitation for this address", ip=ip)
        raise Refusal(INVITATION_NEEDED)
    return await auth.accounts.register(email, password, roles=found.roles if found else (), ip=ip)
