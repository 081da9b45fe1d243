"""What people enter on the forms by which they get in, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from ..errors import Throttled
from .destination import safe_next
from .visit import Visit

NO_EMAIL: Final = "Enter your e-mail address."
NO_PASSWORD: Final = "Enter your password."
NO_ERRORS: Final = {"email": "", "password": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What somebody entered. All but the password goes back onto the page when it has to be shown again."""

    email: str = ""
    """Their address; with users of the application, whatever they log in with."""
    password: str = field(default="", repr=False)
    remember: bool = False
    next: str = ""
    invitation: str = field(default="", repr=False)
    once: str = field(default="", repr=False)
    """By which a form is known that is sent twice."""

    def missing(self, no_email: str = NO_EMAIL) -> dict[str, str]:
        """What to say at the fields that were left empty."""
        said = {}
        if not self.email:
            said["email"] = no_email
        if not self.password:
            said["password"] = NO_PASSWORD
        return said


def sentence(text: str) -> str:
    """An error's text as a sentence on a page."""
    return f"{text[:1].upper()}{text[1:]}."


def retry_later(response: Response, error: Throttled) -> Response:
    """The response with the time to wait in its header."""
    response.headers["Retry-After"] = str(error.retry_after)
    return response


async def read_entry(visit: Visit) -> Entry:
    """The form, once it is sure that a session could be handed out."""
    form = await visit.form()
    visit.require_cookies()
    return Entry(
        email=form.get("email", "").strip(),
        password=form.get("password", ""),
        remember="remember" in form,
        next=safe_next(form.get("next", "")),
        invitation=form.get("invitation", ""),
        once=form.get("once", ""),
    )


def next_query(next: str) -> str:
    """What takes ``next`` along to another of our pages."""
    return f"?{urlencode({'next': next})}" if next else ""
