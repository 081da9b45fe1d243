"""Where people are sent from a Flask view that does not let them in."""

from __future__ import annotations

import pytest
from flask import Flask

from coatcheck.adapters import flask
from coatcheck.blocking import Auth
from coatcheck.errors import ConfigurationError


def test_login_required_with_its_call() -> None:
    """As in Django it may be called, with a page for people or without: it asks for somebody all the same."""
    app = Flask(__name__)
    with Auth("memory://") as auth:
        flask.Coatcheck(app, auth)
        app.add_url_rule("/called", "called", flask.login_required()(lambda: "secret"))
        app.add_url_rule("/paged", "paged", flask.login_required(login_view="/enter")(lambda: "secret"))
        for path in ("/called", "/paged"):
            assert app.test_client().get(path).status_code == 401
        answer = app.test_client().get("/paged?a=1", headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/enter?next=%2Fpaged%3Fa%3D1")


@pytest.mark.parametrize("page", ["//evil.example", "/\\evil.example", "/a b"])
def test_pages_elsewhere(page: str) -> None:
    """A page that might be read as another host's is refused at once."""
    with Auth("memory://") as auth, pytest.raises(ConfigurationError, match="renew_view"):
        flask.Coatcheck(Flask(__name__), auth, renew_view=page)
    with pytest.raises(ConfigurationError, match="login_view"):
        flask.requires("admin", login_view=page)
    with pytest.raises(ConfigurationError, match="renew_view"):
        flask.fresh(minutes=5, renew_view=page)
