"""Forms of an application's own that people send, for the adapters of frameworks with pages: who sends one, and where
the person was."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from ..credentials.arrival import Arrival

FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
"""The media types of forms."""
LOCAL_URL: Final = re.compile(r"/(?!/)[!-\[\]-~]*", re.ASCII)
"""A path that nobody takes for another host's address."""


_NEVER: Final = re.compile(r";\s*q=0(\.0*)?\s*(;|$)")


def accepts_pages(accept: str) -> bool:
    """Whether ``Accept`` names HTML (RFC 9110 §12.5.1): a browser that goes to an address. ``*/*`` is what programs
    say."""
    kinds = [kind.strip().lower() for kind in accept.split(",")]
    return any(kind.partition(";")[0].strip() == "text/html" and not _NEVER.search(kind) for kind in kinds)


def root_of(text: str) -> str:
    """A root path as it may stand in front of an address: none of its slashes makes what follows a host."""
    return quote("".join(f"/{part}" for part in text.split("/") if part))


def is_form(environ: Mapping[str, Any], arrival: Arrival) -> bool:
    """Whether a person sends a form, and no script or program."""
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    by_person = environ.get("HTTP_SEC_FETCH_MODE", "navigate") == "navigate" and not arrival.by_bearer
    return arrival.changes and by_person and kind in FORMS and accepts_pages(environ.get("HTTP_ACCEPT", ""))


def page_of_form(environ: Mapping[str, Any], scheme: str, host: str) -> str:
    """The page that the form is on, where the browser says so; the address that it is sent to may be no page. Empty
    where it is not known, and for one that might be read as another host's."""
    origin, slash, path = environ.get("HTTP_REFERER", "").removeprefix(f"{scheme}://").partition("/")
    found = f"{slash}{path}"
    return found if origin == host and LOCAL_URL.fullmatch(found) else ""
