"""An issuing and a verifying process on one store, as tests of histories and clocks drive them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from coatcheck import Credential, Credentials, Mode
from tests.support.histories import History
from tests.support.patience import PATIENCE
from tests.support.presenting import presented
from tests.support.service import coatcheck_command

from .fleet.crew import Fleet, Member, running_fleet
from .fleet.stores import SECRET, Place
from .fleet.words import Where

STALENESS = 0.5


@dataclass(frozen=True)
class Login:
    """What a client holds."""

    subject: str
    made: Credentials

    @property
    def session_id(self) -> str:
        return self.made.session.id

    @property
    def credential(self) -> Credential:
        return presented(self.made)

    @property
    def refresh_token(self) -> str:
        return self.made.refresh_token or ""

    @property
    def token_id(self) -> str:
        """The access token's ``jti``."""
        payload = (self.made.access_token or "").split(".")[1]
        found: str = json.loads(base64.urlsafe_b64decode(payload + "=="))["jti"]
        return found


class Deployment:
    """The processes, and the way in which their store goes back."""

    def __init__(self, fleet: Fleet, way: str) -> None:
        self.fleet = fleet
        self._way = way

    @property
    def history(self) -> History:
        return self.fleet.place.histories[self._way]

    @property
    def issuing(self) -> Member:
        return self.fleet.issuing

    @property
    def verifying(self) -> Member:
        return self.fleet.verifying[0]

    @property
    def modes(self) -> Sequence[Mode]:
        """What the verifying process can verify."""
        return self.fleet.place.modes

    def login(self, subject: str, mode: Mode = Mode.JWT) -> Login:
        """Of a subject by this name, or one like it: its session is among what goes back."""
        for number in range(200):
            name = f"{subject}.{number}" if number else subject
            found = Login(name, self.issuing.call("login", name, mode=mode))
            if not self._way or self.history.goes_back(found.session_id):
                return found
            self.issuing.call("revoke", found.session_id)
        raise AssertionError("no subject's session goes back")

    def change(self, subject: str, *, times: int) -> None:
        """Events, so that positions grow."""
        for _ in range(times):
            self.issuing.call("subject_changed", subject)

    def put_back(self, *, ending: Sequence[Member] = ()) -> None:
        """The store as it was when it was saved. These processes end before and are started again after."""
        for member in ending:
            member.end()
        self.history.put_back()
        for member in ending:
            member.start()
        for member in ending:
            member.wait_until_ready()

    def step_clock(self, off: float) -> None:
        """The store's time of day is ahead by so many seconds, and every process has learnt of it."""
        self.fleet.place.clock.set(off)
        self.fleet.settle()

    def prune_anew(self) -> None:
        """As a process does that was started just now."""
        with self.fleet.fresh("issuing") as fresh:
            fresh.call("_running.maintenance.prune")

    def end(self, how: str, login: Login) -> str | None:
        """End a login in one of several ways, named first; None, or why it was not ended."""
        issuing = self.issuing
        match how.partition(",")[0]:
            case "by id":
                issuing.call("revoke", login.session_id)
            case "by subject":
                issuing.call("revoke_subject", login.subject)
            case "by command":
                known = [] if "stranger" not in how else ["--unknown"]
                return self.command("sessions", "revoke", "--subject", login.subject, *known)
            case "by http":
                return self._logout(login)
            case "by token":
                issuing.call("revocation.revoke_token", login.session_id, login.token_id)
            case "changed":
                issuing.call("subject_changed", login.subject)
            case _:
                raise AssertionError(how)
        return None

    def accepting(self, logins: Mapping[str, Login]) -> dict[str, list[str]]:
        """Which processes accept which of them: the verifying one, the issuing one, and one that has just started."""
        with self.fleet.fresh() as fresh:
            processes = {"verifying": self.verifying, "issuing": self.issuing, "fresh": fresh}
            found = {
                name: [role for role, one in processes.items() if one.accepts(login.credential)]
                for name, login in logins.items()
            }
        return {name: roles for name, roles in found.items() if roles}

    def command(self, *arguments: str) -> str | None:
        """Run ``coatcheck`` on the database to its end; None, or what it said when it failed."""
        url = self.fleet.place.issuing_url
        env = {"COATCHECK_SECRET": SECRET, **self.issuing.setup.variables}
        done = coatcheck_command(*arguments, "--database", url, cwd=Path("/"), env=env)
        return None if done.returncode == 0 else done.stdout + done.stderr

    def _logout(self, login: Login) -> str | None:
        with self.fleet.fresh("serving") as server:
            answer = logout(server, login)
        return None if answer.status_code == 204 else f"{answer.status_code} {answer.text}"


def logout(server: Member, login: Login) -> httpx.Response:
    """Over HTTP, with the access token of a session of mode ``jwt``."""
    token = login.made.access_token
    return httpx.post(f"{server.ask(Where())}/logout", headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE)


@contextmanager
def deployed(place: Place, way: str = "") -> Iterator[Deployment]:
    """One issuing process and one that verifies."""
    with running_fleet(place, verifying=1, max_staleness=STALENESS) as fleet:
        yield Deployment(fleet, way)
