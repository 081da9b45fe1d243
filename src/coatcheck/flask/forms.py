"""Where people come and go in a Flask application: the way in, and forms of another login or too late."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from flask import Request, current_app

from ..adapters.sent_forms import FORMS
from ..adapters.wsgi import FORM_FIELD
from ..blocking import Auth
from ..credentials.opaque import CSRF_PREFIX
from ..model import Identity

NOT_ACCEPTED: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>That was not accepted</title>
<h1>That was not accepted</h1>
<p>It did not come from a page of your present login, so nothing was changed. If it was you, reload the page
you were on and try again.</p>
</html>
"""

_MAX_FORM: Final = 64 * 1024
"""Bytes of a form that is looked into before its view."""


IS_SERVICE: Final = "coatcheck_service"
"""What the service's own view has, which decides for itself who comes in and sees to ``session``."""


def is_way_in(asked: Request, guard: object, *pages: str | None) -> bool:
    """Whether a guard stands before the way in itself: the service, or a page that people are sent to. Whoever is kept
    from that goes in a circle."""
    view = current_app.view_functions.get(asked.endpoint or "")
    if view is guard:
        return False
    return getattr(view, IS_SERVICE, False) is True or any(
        page in (asked.path, asked.endpoint) for page in pages if page
    )


def check_form(auth: Auth, asked: Request, identity: Identity) -> None:
    """Raise `CrossSite` for a form with a token of ours that was made for another login, wherever it comes from: a tab
    that was opened as somebody else. The body is kept for the view, and one larger than a form of text left to it."""
    if asked.mimetype in FORMS and 0 < (asked.content_length or 0) <= _MAX_FORM:
        asked.get_data(cache=True)
        token = asked.form.get(FORM_FIELD, "")
        if token.startswith(CSRF_PREFIX):
            auth.check_csrf_token(token, identity.session_id)


def this_page(asked: Request) -> str:
    """Where the request goes, to come back to."""
    query = asked.query_string.decode("latin-1")
    return quote(asked.root_path + asked.path) + (f"?{query}" if query else "")
