"""Where people are sent from a Flask view that does not let them in."""

from __future__ import annotations

import pytest
from flask import Flask

from coatcheck import flask
from coatcheck.blocking import Auth
from coatcheck.errors import ConfigurationError
from coatcheck.flask import mount_auth


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


@pytest.mark.parametrize("login_view", [None, "/enter", "enter"])
def test_a_guard_before_everything_leaves_the_way_in(login_view: str | None) -> None:
    """Neither the service nor the login page is behind it, whichever that is: people went in a circle."""
    app = Flask(__name__)
    auth = mount_auth(app, "memory://", login_view=login_view)

    @app.before_request
    @flask.login_required
    def guard() -> None:
        """Nobody goes anywhere."""

    app.add_url_rule("/me", "me", lambda: "secret")
    app.add_url_rule("/enter", "enter", lambda: "the way in")
    app.add_url_rule("/own", "own", flask.login_required(lambda: "secret"))
    with auth:
        for path in ("/me", "/own", "/nothing"):
            answer = app.test_client().get(path, headers={"Accept": "text/html"})
            assert answer.status_code == 303
            page = app.test_client().get(answer.headers["Location"], headers={"Accept": "text/html"})
            assert page.status_code == 200, answer.headers["Location"]
        assert app.test_client().get("/auth/session").status_code == 401
        made = {"email": "ann@example.com", "password": "nine brown owls", "mode": "session"}
        web = app.test_client()
        assert web.post("/auth/register", json=made, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 201
        assert web.get("/me").text == "secret"


def test_a_login_page_behind_its_own_demand() -> None:
    """It is asked for what it asks for: nobody is let in by naming it."""
    app = Flask(__name__)
    with Auth("memory://") as auth:
        flask.Coatcheck(app, auth, login_view="/enter")
        app.add_url_rule("/enter", "enter", flask.login_required(lambda: "secret"))
        assert app.test_client().get("/enter").status_code == 401
