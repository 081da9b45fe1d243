"""What views ask for: pages send a person to the login page, APIs say 401 or 403, in every kind of view."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, RequestFactory, override_settings
from django.views import View
from django.views.generic import TemplateView
from rest_framework.views import APIView

from coatcheck import Mode
from coatcheck.blocking import Auth
from coatcheck.clock import Clock
from coatcheck.django import DjangoUsers, LoginRequiredMixin, login_required, optional_user, requires
from coatcheck.errors import ConfigurationError
from coatcheck.testing.clock import TravelClock
from tests.adapters.apps.django_project import MIDDLEWARE
from tests.adapters.django.browser import OWN, Browser

PAGE = {"Accept": "text/html,application/xhtml+xml"}
PROTECTED = ("/mine", "/mine-async", "/editors", "/danger", "/sync", "/async", "/decorated", "/raises")


@pytest.mark.parametrize("path", PROTECTED)
def test_nobody(browser: Browser, path: str) -> None:
    """An API's client gets a problem, a person on the way to a page the login page, and the way back."""
    answer = browser.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert (answer["WWW-Authenticate"], answer["Cache-Control"]) == ("Bearer", "no-store")
    assert answer.json()["code"] == "not_logged_in"
    assert browser.head(path).content == b""
    answer = browser.get(f"{path}?a=1&b=//evil.example", headers=PAGE)
    if path == "/raises":  # nothing but the view knows what it asks for
        assert answer.status_code == 401
        return
    assert (answer.status_code, answer["Cache-Control"]) == (302, "no-store")
    target = urlsplit(answer["Location"])
    assert (target.netloc, target.path) == ("", "/elsewhere" if path == "/mine-async" else "/auth/login")
    assert parse_qs(target.query) == {"next": [f"{path}?a=1&b=//evil.example"]}


def test_a_staging_password_is_no_program(browser: Browser) -> None:
    """With a scheme that is not ours a person is sent to the login page as ever; with a bearer token a program asks."""
    for scheme in ("Basic x", "Digest x", "Negotiate x"):
        answer = browser.get("/mine", headers={**PAGE, "Authorization": scheme})
        assert (answer.status_code, urlsplit(answer["Location"]).path) == (302, "/auth/login")
    assert browser.get("/mine", headers={**PAGE, "Authorization": "Bearer x"}).status_code == 401


def test_next_stays_here(browser: Browser) -> None:
    """What is asked for can lead nowhere else."""
    answer = browser.get("//evil.example/mine", headers=PAGE)
    assert answer.status_code in (302, 404)
    assert "//evil.example" not in answer.get("Location", "").removeprefix("/auth/login?next=")


def test_a_page_for_who_may_not(browser: Browser, ann: User) -> None:
    """A person who lacks a role sees the project's own page for it, a program the problem."""
    browser.enter(ann)
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates"}
    pages = ("django.template.loaders.locmem.Loader", {"403.html": "<h1>Not for you</h1>"})
    with override_settings(TEMPLATES=[{**engine, "OPTIONS": {"loaders": [pages]}}]):
        answer = browser.get("/editors", headers=PAGE)
        assert (answer.status_code, answer.content) == (403, b"<h1>Not for you</h1>")
        answer = browser.get("/editors")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_roles(browser: Browser, ann: User) -> None:
    """All roles are needed; who lacks one is told 403, also on a page."""
    browser.enter(ann)
    for path in ("/editors", "/async"):
        answer = browser.get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert browser.get(path, headers=PAGE).status_code == 403
    ann.is_staff = True
    ann.save()
    assert browser.get("/async").content == b"async"
    assert browser.get("/editors").status_code == 403


def test_served(browser: Browser, ann: User) -> None:
    """Whoever is logged in is served in every kind of view."""
    browser.enter(ann)
    for path in ("/mine", "/mine-async", "/danger", "/sync", "/decorated", "/raises"):
        assert browser.get(path).status_code == 200, path
        assert {"Cookie", "Authorization"} <= {part.strip() for part in browser.get(path)["Vary"].split(",")}


async def test_asgi(auth: Auth, ann: User) -> None:
    """The same under ASGI."""
    client = AsyncClient(headers={"host": "app.example"})
    for path in PROTECTED:
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=PAGE)).status_code == (401 if path == "/raises" else 302)
    made = await auth.arun(lambda inner: inner.login(str(ann.pk), mode=Mode.JWT))
    bearer = {"Authorization": f"Bearer {made.access_token}"}
    for path in ("/mine", "/mine-async", "/danger", "/sync", "/decorated", "/raises", "/touched-async", "/touched"):
        assert (await client.get(path, headers=bearer)).status_code == 200, path
    for path in ("/editors", "/async"):
        assert (await client.get(path, headers=bearer)).status_code == 403, path


def test_fresh(auth: Auth, ann: User) -> None:
    """A login that is too old is a problem to an API, and a way to prove it again for a person."""
    time = TravelClock()
    clock = Clock(monotonic=time.monotonic, wall=time.now)
    with Auth("memory://", subjects=DjangoUsers(), clock=clock) as auth, override_settings(COATCHECK={"auth": auth}):
        browser = Browser()
        browser.bearer = auth.login(str(ann.pk), mode=Mode.JWT).access_token or ""
        time.advance(300)
        assert browser.get("/danger").status_code == 200
        time.advance(2)
        answer = browser.get("/danger")
        assert (answer.status_code, answer.json()["code"]) == (401, "login_too_old")
        assert 'error="insufficient_user_authentication"' in answer["WWW-Authenticate"]
        browser.cookies["__Host-coatcheck"] = auth.login(str(ann.pk), mode=Mode.SESSION).session_token or ""
        browser.bearer = ""
        time.advance(302)
        assert browser.get("/danger").status_code == 401
        assert browser.get("/danger", headers=PAGE)["Location"] == "/again?next=%2Fdanger"


def test_mixin_after_the_view() -> None:
    """Where a view's own dispatch comes before the mixin it would answer everybody: such a class cannot be made."""

    class Own(View):
        def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            return HttpResponse("secret")

    class Behind(LoginRequiredMixin, View):
        pass

    for bases in ((View, LoginRequiredMixin), (Own, LoginRequiredMixin), (Own, Behind), (APIView, Behind)):
        with pytest.raises(TypeError, match="before"):
            type("Page", bases, {})
    for bases in ((LoginRequiredMixin, Own), (TemplateView, Behind), (Behind,)):
        type("Page", bases, {})


def test_without_middleware() -> None:
    """Where nobody asks who is asking, a demand fails and lets nobody in."""
    request = RequestFactory().get("/")

    class Page(LoginRequiredMixin, View):
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse()

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    for asked in (login_required(view), requires("x")(view), Page.as_view(), optional_user):
        with pytest.raises(ConfigurationError, match="MIDDLEWARE"):
            asked(request)
    with pytest.raises(ValueError, match="role"):
        requires()


@pytest.mark.parametrize("mode", list(Mode), ids=str)
def test_own_login(browser: Browser, ann: User, mode: Mode) -> None:
    """An application's own login delivers the cookies of each mode, the refresh cookie for its route alone."""
    answer = browser.get(f"/own-login?subject={ann.pk}&mode={mode.value}")
    assert answer["Cache-Control"] == "no-store"
    paths = {name: morsel["path"] for name, morsel in answer.cookies.items() if morsel.value}
    assert (
        paths
        == {
            Mode.SESSION: {"__Host-coatcheck": "/"},
            Mode.JWT: {},
            Mode.JWT_COOKIE: {"__Host-coatcheck-access": "/", "__Secure-coatcheck-refresh": "/auth/refresh"},
        }[mode]
    )
    assert browser.who() == (None if mode is Mode.JWT else str(ann.pk))


def test_login_required_middleware(auth: Auth, ann: User) -> None:
    """Django's LoginRequiredMiddleware asks the same user, and leaves the service to whoever wants to log in."""
    chain = [*MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    with override_settings(MIDDLEWARE=chain):
        browser = Browser()
        assert browser.get("/open")["Location"] == "/auth/login?next=/open"
        assert browser.enter(ann).status_code == 200
        assert browser.who() == str(ann.pk)


def test_service_keys_and_old_tokens(browser: Browser, ann: User) -> None:
    """The middleware leaves the service's bearer tokens to the service: an ended one may log out."""
    browser.enter(ann, Mode.JWT)
    held = browser.bearer
    assert browser.post("/auth/logout/everywhere", content_type="application/json", headers=OWN).status_code == 204
    browser.bearer = held
    assert browser.who() == 401
    assert browser.post("/auth/logout", content_type="application/json", headers=OWN).status_code == 204
    browser.bearer = "k" * 40
    answer = browser.post("/auth/introspect", {"token": held}, headers=OWN)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_service_key")
