"""What Flask's adapter does beyond the behaviour suite."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Blueprint, Flask, abort, g, render_template_string, request, stream_with_context
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

import coatcheck
from coatcheck import ConfigurationError, Identity, Mode, SubjectFacts
from coatcheck.blocking import Auth, RemoteVerifier
from coatcheck.credentials.cookies import DEVELOPMENT
from coatcheck.errors import CrossSite, InvalidCredential, InvalidLogin, NotLoggedIn, StoreUnavailable
from coatcheck.flask import (
    Coatcheck,
    auth_of,
    csrf_token,
    current_user,
    exempt,
    fresh,
    login_required,
    optional_user,
    requires,
)
from coatcheck.stores.memory import MemoryStore
from tests.support.gates import GatedStore


def facts(subject: str) -> SubjectFacts:
    return SubjectFacts(roles=frozenset({"admin"} if subject == "root" else ()))


@pytest.fixture(scope="module")
def auth() -> Iterator[Auth]:
    with Auth("memory://", subjects=facts) as running:
        yield running


@pytest.fixture
def app(auth: Auth) -> Flask:
    """An application that is set up, without routes."""
    made = Flask(__name__)
    made.testing = True
    Coatcheck(made, auth)
    return made


def route(app: Flask | Blueprint, path: str, view: Any, **options: Any) -> None:
    app.add_url_rule(path, f"at {path}", view, **options)


def bearer(auth: Auth, subject: str = "ann") -> dict[str, str]:
    return {"Authorization": f"Bearer {auth.login(subject, mode=Mode.JWT).access_token}"}


def with_cookie(app: Flask, auth: Auth, subject: str = "ann") -> FlaskClient:
    client = app.test_client()
    client.set_cookie(DEVELOPMENT.session, auth.login(subject, mode=Mode.SESSION).session_token or "")
    return client


def problem(answer: Any) -> tuple[int, str]:
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status_code, answer.json["code"]


def test_current_user(app: Flask, auth: Auth) -> None:
    """It is the Identity; when that is nobody it is false, and asking it for anything raises NotLoggedIn."""
    with app.test_request_context(headers=bearer(auth)):
        assert current_user
        assert isinstance(current_user, Identity)
        assert (current_user.subject, current_user == optional_user()) == ("ann", True)
    with app.test_request_context():
        assert not current_user
        assert optional_user() is None
        for ask in (lambda: current_user.subject, lambda: current_user.has_role("admin"), lambda: str(current_user)):
            with pytest.raises(NotLoggedIn):
                ask()
        assert "unbound" in repr(current_user)
    assert not current_user
    with pytest.raises(RuntimeError, match="outside of request context"):
        _ = current_user.subject


def test_nobody_asked_for_by_a_view_is_401(app: Flask) -> None:
    """A view that uses current_user without a demand lets nobody in all the same."""
    route(app, "/", lambda: current_user.subject)
    answer = app.test_client().get("/")
    assert problem(answer) == (401, "not_logged_in")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


class Untouchable:
    """Stands for whatever a request that presents nothing must not cost."""

    policy = clock = None

    def known(self, *_: object) -> None:
        raise AssertionError("asked for nothing")

    verify = check_csrf_token = known


def test_a_request_that_presents_nothing_costs_nothing() -> None:
    """Nothing is started, looked up or verified for it."""
    app = Flask(__name__)
    app.testing = True
    Coatcheck(app, Untouchable())  # type: ignore[arg-type]
    route(app, "/", lambda: "hello", methods=["GET", "POST"])
    assert [app.test_client().open("/", method=method).text for method in ("GET", "POST")] == ["hello"] * 2


def test_decided_before_the_view(app: Flask, auth: Auth) -> None:
    """A bad bearer token and a cross-site change are refused though the view never asks, and where there is none."""
    ran = []
    route(app, "/", lambda: ran.append(1) or "ran", methods=["GET", "POST"])
    route(app, "/files/<path:name>", lambda name: ran.append(1) or "ran")
    client = app.test_client()
    for path in ("/", "/files/x", "/nothing"):
        assert problem(client.get(path, headers={"Authorization": "Bearer x"})) == (401, "invalid_credential")
    assert problem(with_cookie(app, auth).post("/", headers={"Sec-Fetch-Site": "cross-site"})) == (403, "cross_site")
    assert ran == []
    assert client.post("/", headers={"Sec-Fetch-Site": "cross-site"}).text == "ran"


def test_demands_on_any_view(app: Flask, auth: Auth) -> None:
    """They stand before views, asynchronous ones and generators, keep name and arguments, and can be combined."""

    @app.get("/<name>")
    @requires("admin")
    @fresh(minutes=5)
    async def greet(name: str) -> str:
        """Says hello."""
        return f"{name} {current_user.subject}"

    assert (greet.__name__, greet.__doc__) == ("greet", "Says hello.")
    client = app.test_client()
    assert problem(client.get("/hello")) == (401, "not_logged_in")
    assert problem(client.get("/hello", headers=bearer(auth))) == (403, "forbidden")
    assert client.get("/hello", headers=bearer(auth, "root")).text == "hello root"
    for wrong in (lambda: requires(), lambda: requires(""), lambda: fresh(minutes=0)):
        with pytest.raises(ValueError, match=r"role|positive"):
            wrong()


def test_a_demand_above_the_route_is_refused(app: Flask, auth: Auth) -> None:
    """Where the decorators stand in the wrong order the route would be open to everybody: it answers nobody at all."""

    @login_required
    @app.get("/")
    def show() -> str:
        return "secret"

    for headers in ({}, bearer(auth)):
        with pytest.raises(ConfigurationError, match="above"):
            app.test_client().get("/", headers=headers)
    app.testing = False
    assert app.test_client().get("/").status_code == 500


def test_a_demand_above_another_decorator_above_the_route_is_refused(app: Flask) -> None:
    """What stands between the demand and the route does not hide that the bare view was routed."""

    def counted(view: Callable[[], str]) -> Callable[[], str]:
        return wraps(view)(lambda: view())

    @login_required
    @counted
    @app.get("/bare")
    def bare() -> str:
        return "secret"

    @app.get("/behind")
    @counted
    @requires("admin")
    @login_required
    def behind() -> str:
        return "secret"

    with pytest.raises(ConfigurationError, match="above"):
        app.test_client().get("/bare")
    assert problem(app.test_client().get("/behind")) == (401, "not_logged_in")


@pytest.mark.parametrize("whole_application", [True, False])
def test_a_demand_above_before_request_is_refused(app: Flask, auth: Auth, whole_application: bool) -> None:
    """In the wrong order nothing would stand before the blueprint, or the application: it answers nobody at all."""
    inside = Blueprint("inside", __name__)

    @login_required
    @(app if whole_application else inside).before_request
    def members_only() -> None:
        pass

    route(inside, "/in", lambda: "in")
    app.register_blueprint(inside)
    route(app, "/out", lambda: "out")
    for headers in ({}, bearer(auth)):
        with pytest.raises(ConfigurationError, match="before_request above"):
            app.test_client().get("/in", headers=headers)
    if not whole_application:
        assert app.test_client().get("/out").text == "out"


def test_a_demanded_view_may_stand_behind_more(app: Flask, auth: Auth) -> None:
    """A view behind a demand may be routed as it is and, behind another demand, a second time."""
    mine = login_required(lambda: "mine")
    route(app, "/mine", mine)
    route(app, "/admin", requires("admin")(mine))
    client = app.test_client()
    assert [client.get(path, headers=bearer(auth)).status_code for path in ("/mine", "/admin")] == [200, 403]
    assert [client.get(path).status_code for path in ("/mine", "/admin")] == [401, 401]


def test_a_whole_blueprint(app: Flask, auth: Auth) -> None:
    """A demand on before_request stands before each of its views and before no other."""
    inside = Blueprint("inside", __name__)

    @inside.before_request
    @login_required
    def members_only() -> None:
        pass

    route(inside, "/in", lambda: "in")
    app.register_blueprint(inside)
    route(app, "/out", lambda: "out")
    client = app.test_client()
    assert (client.get("/out").text, problem(client.get("/in"))) == ("out", (401, "not_logged_in"))
    assert client.get("/in", headers=bearer(auth)).text == "in"


def test_exempt(app: Flask, auth: Auth) -> None:
    """A view with bearers of its own gets them; ours is still refused where it is asked for."""

    @app.post("/hook")
    @exempt
    def hook() -> str:
        return request.headers["Authorization"]

    @app.post("/asks")
    @exempt
    def asks() -> str:
        return current_user.subject

    client = app.test_client()
    assert client.post("/hook", headers={"Authorization": "Bearer theirs"}).text == "Bearer theirs"
    assert problem(client.post("/asks", headers={"Authorization": "Bearer theirs"})) == (401, "invalid_credential")
    assert problem(with_cookie(app, auth).post("/asks")) == (403, "cross_site")


def test_what_stands_before_a_view_may_change(app: Flask, auth: Auth) -> None:
    """A route that has been asked for is looked at anew when its view is another one, is exempted, or is demanded."""
    bad = {"Authorization": "Bearer theirs"}

    def first() -> str:
        return "first"

    def second() -> str:
        return "second"

    app.add_url_rule("/", "here", first)
    client = app.test_client()
    assert problem(client.get("/", headers=bad)) == (401, "invalid_credential")
    app.view_functions["here"] = exempt(second)
    assert client.get("/", headers=bad).text == "second"
    app.view_functions["here"] = first
    assert problem(client.get("/", headers=bad)) == (401, "invalid_credential")
    exempt(first)
    assert client.get("/", headers=bad).text == "first"
    login_required(first)
    with pytest.raises(ConfigurationError, match="above"):
        client.get("/")


def test_factories_and_several_applications(auth: Auth) -> None:
    """One extension sets up many applications, each with its own Auth; nobody of the one is known to the other."""
    extension = Coatcheck(auth=auth)
    with Auth("memory://", subjects=facts) as other:
        apps = []
        for given in (None, other):
            app = Flask(__name__)
            extension.init_app(app, given)
            route(app, "/", lambda: {"subject": current_user.subject})
            apps.append(app)
        assert [auth_of(app) for app in apps] == [auth, other]
        both = Client(DispatcherMiddleware(apps[0], {"/other": apps[1]}))
        assert both.get("/", headers=bearer(auth)).json == {"subject": "ann"}
        assert both.get("/other/", headers=bearer(auth)).status_code == 401
        assert both.get("/other/", headers=bearer(other, "bob")).json == {"subject": "bob"}


def test_an_application_inside_of_another(auth: Auth) -> None:
    """What the outer one has decided about an environment is not taken over by an inner one with another Auth."""
    with Auth("memory://", subjects=facts) as other:
        inner, outer = Flask("inner"), Flask("outer")
        Coatcheck(inner, other)
        Coatcheck(outer, auth)
        route(inner, "/", lambda: {"subject": getattr(optional_user(), "subject", None)})
        route(outer, "/", login_required(lambda: inner.wsgi_app))
        answer = outer.test_client().get("/", headers=bearer(auth))
        assert answer.status_code == 401
        client = with_cookie(outer, auth)
        assert client.get("/").json == {"subject": None}


def test_users_do_not_outlive_their_request(app: Flask, auth: Auth) -> None:
    """Also where an application context is pushed around several requests, as tests do."""
    route(app, "/", lambda: {"subject": getattr(optional_user(), "subject", None)})
    with app.app_context():
        g.something = 1
        client = app.test_client()
        assert client.get("/", headers=bearer(auth)).json == {"subject": "ann"}
        assert client.get("/").json == {"subject": None}
        assert client.get("/", headers=bearer(auth, "root")).json == {"subject": "root"}


def test_a_stream_keeps_its_user(app: Flask, auth: Auth) -> None:
    """`stream_with_context` has the user for as long as it streams."""

    @app.get("/")
    @login_required
    def numbers() -> Any:
        def lines() -> Iterator[str]:
            for number in range(3):
                yield f"{number} {current_user.subject}\n"

        return app.response_class(stream_with_context(lines()))

    assert app.test_client().get("/", headers=bearer(auth)).text == "0 ann\n1 ann\n2 ann\n"


def test_abort_and_teardown(app: Flask, auth: Auth) -> None:
    """A refusal is an answer like any other: after_request sees it, teardown sees no error, abort works beside it."""
    seen: list[Any] = []
    app.after_request(lambda answer: seen.append(answer.status_code) or answer)
    app.teardown_request(lambda error: seen.append(error))
    route(app, "/", login_required(lambda: abort(418)))
    client = app.test_client()
    assert client.get("/").status_code == 401
    assert client.get("/", headers=bearer(auth)).status_code == 418
    assert seen == [401, None, 418, None]


def test_own_handlers_go_first(app: Flask) -> None:
    """An application may answer a refusal in its own way; what it raises of ours itself is answered too."""
    app.register_error_handler(NotLoggedIn, lambda error: ("please log in", 401))
    route(app, "/", login_required(lambda: "in"))
    route(app, "/enter", lambda: _raise(InvalidLogin("wrong")))
    route(app, "/broken", lambda: _raise(ConfigurationError("fix it")))
    client = app.test_client()
    assert client.get("/").text == "please log in"
    assert problem(client.get("/enter")) == (401, "invalid_login")
    with pytest.raises(ConfigurationError):
        client.get("/broken")


def _raise(error: Exception) -> str:
    raise error


class TestLoginView:
    """Where people are sent."""

    @pytest.fixture
    def client(self, auth: Auth) -> Client:
        app = Flask(__name__)
        Coatcheck(app, auth, login_view="/auth/login")
        route(app, "/", login_required(lambda: "in"), methods=["GET", "POST"])
        route(app, "/<path:name>", login_required(lambda name: "in"))
        return Client(DispatcherMiddleware(app, {"/site": app}))

    @pytest.mark.parametrize(
        ("path", "back"),
        [
            ("/", "/"),
            ("/a/b?c=d&e=%26", "/a/b?c=d&e=%26"),
            ("/site/a", "/site/a"),
            ("/%C3%A9?x=%C3%A9", "/%C3%A9?x=%C3%A9"),
            ("/a%20b", "/a%20b"),
            ("/%5Cevil.example", "/%5Cevil.example"),
            ("/a?x=\\evil.example", None),
        ],
    )
    def test_people_come_back(self, client: Client, path: str, back: str | None) -> None:
        """They are sent to the login page, below the same prefix, with a path of this host to come back to, or none."""
        answer = client.get(path, headers={"Accept": "text/html,*/*"})
        assert (answer.status_code, answer.headers["Cache-Control"]) == (303, "no-store")
        url = urlsplit(answer.headers["Location"])
        assert (url.netloc, url.path) == ("", "/site/auth/login" if path.startswith("/site") else "/auth/login")
        assert parse_qs(url.query).get("next") == (None if back is None else [back])

    @pytest.mark.parametrize("path", ["//evil.example", "/%2F/evil.example/", "///evil.example/a"])
    def test_no_other_host(self, client: Client, path: str) -> None:
        """A path that a browser could take for a host is not one to come back to as it stands."""
        answer = client.get("/x", headers={"Accept": "text/html"}, environ_overrides={"PATH_INFO": path})
        (back,) = parse_qs(urlsplit(answer.headers["Location"]).query).get("next", ["/"])
        assert back.startswith("/")
        assert not back.startswith("//")

    def test_programs_are_told(self, client: Client) -> None:
        """What is no page for a person gets 401: another method, no HTML wanted, a bearer token."""
        html = {"Accept": "text/html"}
        assert problem(client.get("/")) == (401, "not_logged_in")
        assert problem(client.get("/", headers={"Accept": "*/*"})) == (401, "not_logged_in")
        assert problem(client.post("/", headers=html)) == (401, "not_logged_in")
        assert problem(client.get("/", headers=html | {"Authorization": "Bearer x"})) == (401, "invalid_credential")

    def test_a_staging_password_is_no_program(self, client: Client) -> None:
        """With a scheme that is not ours a person is sent to the login page as ever."""
        for scheme in ("Basic x", "Digest x", "Negotiate x"):
            answer = client.get("/", headers={"Accept": "text/html", "Authorization": scheme})
            assert (answer.status_code, urlsplit(answer.headers["Location"]).path) == (303, "/auth/login")

    def test_endpoint(self, auth: Auth) -> None:
        """It may be the name of an endpoint; a URL of another host is refused."""
        app = Flask(__name__)
        Coatcheck(app, auth, login_view="enter")
        app.add_url_rule("/come/in", "enter", lambda: "who are you?")
        route(app, "/", login_required(lambda: "in"))
        answer = app.test_client().get("/", headers={"Accept": "text/html"})
        assert answer.headers["Location"] == "/come/in?next=%2F"
        with pytest.raises(ConfigurationError):
            Coatcheck(Flask(__name__), auth, login_view="//evil.example/login")


def test_templates(app: Flask, auth: Auth) -> None:
    """They have current_user, where nobody is None, also in the page that tells of a refusal."""
    page = "{% if current_user %}{{ current_user.subject }}{% else %}nobody{{ current_user.subject }}{% endif %}"
    route(app, "/", lambda: render_template_string(page))
    app.register_error_handler(InvalidCredential, lambda error: (render_template_string(page), 401))
    client = app.test_client()
    assert client.get("/").text == "nobody"
    assert client.get("/", headers=bearer(auth)).text == "ann"
    assert client.get("/", headers={"Authorization": "Bearer x"}).text == "nobody"


def test_forms(app: Flask, auth: Auth) -> None:
    """A plain form with the session's token works from a browser that says nothing; with another's, or none, not."""
    form = "{% macro token() %}{{ csrf_token() }}{% endmacro %}{{ token() }}"
    route(app, "/form", lambda: render_template_string(form))
    route(app, "/save", lambda: dict(request.form), methods=["POST"])
    ann, bob = with_cookie(app, auth), with_cookie(app, auth, "bob")
    token, other = ann.get("/form").text, bob.get("/form").text
    assert ann.get("/form").text != token
    assert app.test_client().get("/form").text == ""
    assert ann.post("/save", data={"a": "b", "csrf_token": token}).json == {"a": "b", "csrf_token": token}
    multipart = {"content_type": "multipart/form-data"}
    assert ann.post("/save", data={"csrf_token": token}, **multipart).status_code == 200
    assert ann.post("/save", data={"a": "b"}, headers={"X-CSRF-Token": token}).json == {"a": "b"}
    for data in ({"csrf_token": other}, {"csrf_token": ""}, {"csrf_token": "ccf_x"}, {}):
        assert problem(ann.post("/save", data=data)) == (403, "cross_site")
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert problem(ann.post("/save", data={"csrf_token": token}, headers=cross)) == (403, "cross_site")
    assert problem(ann.post(f"/save?csrf_token={token}")) == (403, "cross_site")
    assert problem(ann.post("/save", json={"csrf_token": token})) == (403, "cross_site")


def test_silent_store_is_503(caplog: pytest.LogCaptureFixture) -> None:
    """When it cannot be known who asks, nobody gets in and nobody is called anonymous; the log says so."""
    store = GatedStore(MemoryStore())
    app = Flask(__name__)
    with Auth(store, secret="a secret of the tests, 32 bytes or more", subjects=facts) as auth:
        Coatcheck(app, auth)
        route(app, "/", lambda: {"subject": getattr(optional_user(), "subject", None)})
        client = with_cookie(app, auth)
        store.fail("events", "find")

        async def lapse(inner: coatcheck.Auth) -> None:
            inner.follower.lease.deadline = float("-inf")

        auth.run(lapse)
        with caplog.at_level(logging.WARNING, "coatcheck.flask"):
            assert problem(client.get("/")) == (503, "unavailable")
        assert "cannot answer" in caplog.text
        token = auth.login("ann", mode=Mode.SESSION).session_token
        with app.test_request_context(headers={"Cookie": f"{DEVELOPMENT.session}={token}"}):
            for ask in (optional_user, lambda: bool(current_user), csrf_token):
                with pytest.raises(StoreUnavailable):
                    ask()


def test_set_up_wrongly(auth: Auth) -> None:
    """What cannot work is said where it is written."""
    for given in (None, coatcheck.Auth("memory://")):
        with pytest.raises(ConfigurationError, match="blocking"):
            Coatcheck(Flask(__name__), given)  # type: ignore[arg-type]
    app = Flask(__name__)
    Coatcheck(app, auth)
    with pytest.raises(ConfigurationError, match="already"):
        Coatcheck(app, auth)
    with Flask(__name__).test_request_context(), pytest.raises(ConfigurationError, match="no Coatcheck here"):
        bool(current_user)


def test_remote_verifier_makes_no_csrf_tokens() -> None:
    """Only the issuing service can; a form's token is refused by a verifier and so is never handed out."""
    app = Flask(__name__)
    verifier = RemoteVerifier("http://127.0.0.1:9", service_key="a-service-key-of-the-tests-of-32-characters-or-more")
    Coatcheck(app, verifier)
    with app.test_request_context(), pytest.raises(ConfigurationError):
        csrf_token()
    with pytest.raises(CrossSite):
        verifier.check_csrf_token("ccf_x", "s")
