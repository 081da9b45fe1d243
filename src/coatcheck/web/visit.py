"""One request for a page: who is asking, what the form says, and how it is answered."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from jinja2 import Environment
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..acting import known_as
from ..adapters.asgi import arrival_of, check_origin, path_below
from ..adapters.lifespans import auth_of
from ..adapters.problems import INTERNAL, Problem
from ..adapters.sent_forms import accepts_pages
from ..auth import Auth
from ..credentials.csrf import Provenance
from ..credentials.opaque import CSRF_PREFIX, OpaqueTokens
from ..errors import CoatcheckError, CrossSite, InvalidCredential, StepRequired, StoreUnavailable, Throttled
from ..features.base import Feature
from ..issuer import Credentials
from ..model import Identity, Mode
from ..site import Site
from . import delivery
from .bodies import read_form
from .destination import safe_next
from .logins import chosen_mode
from .once import log_in_once
from .problems import problem_response, tell_cross_site
from .refusals import BY_STATUS, public_problem
from .render import COLOURS, SCRIPT, STYLESHEET, Assets, asset_url, html, logo_url, redirect
from .replaced import sessions_named
from .words import duration

Handler = Callable[["Visit"], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]

log = logging.getLogger("coatcheck.service")

OURS: Final = "Coatcheck"
"""What the pages call the service where it is alone and nobody has said whose it is."""

DONE: Final = {
    "login": {
        "ended": "Your login here has ended: it was not used for a while, or it was logged out. Log in to go on.",
        "needed": "Log in to go on.",
        "logout": "You have been logged out.",
        "everywhere": "You have been logged out everywhere.",
        "over": "That login was not finished in time, or has ended. Log in again.",
    },
    "account": {
        "welcome": "Your account has been made, and you are logged in.",
        "password": "Your password has been changed. All other devices have been logged out.",
        "proved": "You have proved again who you are.",
    },
}
"""What ``?done=`` may stand for on each page: fixed texts, so that a link can make a page say nothing else."""

_PAGES: Final = {
    403: ("That was not accepted", "It did not come from a page of your present login, so nothing was changed. If it "
          "was you, reload the page you were on and try again."),
    404: ("There is no such page", "The address may be mistyped, or what was here is gone."),
    405: ("Nothing was done", "What this address is for is done by a button on one of our pages. Going to it, or "
          "loading it again, does nothing."),
    409: ("Someone else was faster", "Nothing was changed. Look again, and try once more if it is still needed."),
    413: ("That is too much", "It is larger than anything that belongs here. Nothing was changed."),
    422: ("That could not be read", "Nothing was changed. Go back and try again."),
    429: ("Too many tries", "Nothing was changed. Wait a little, then try again."),
    503: ("This does not work at the moment", "What you asked for may not have been done. Try again in a moment, and "
          "do not count on being logged out before that has been confirmed."),
}  # fmt: skip
_BY_CODE: Final = {
    "invitation_needed": (
        "By invitation only",
        "Accounts are made here by invitation, and this one is none, has ended, or is for another address. Ask whoever "
        "runs this service for a new one.",
    ),
}  # fmt: skip
_FAULT: Final = ("Something went wrong", "It is our fault, not yours. Try again in a moment.")


class Visit:
    """A request, and the session that its cookie names, if any."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.auth: Auth = auth_of(request)
        self.arrival = arrival_of(request.scope)
        self.root = delivery.root_of(request.scope)
        """The path below which the service is; empty at the root of a host."""
        self.identity: Identity | None = None
        self.ended = False
        """Whether a credential came that no longer counts."""

    async def recognise(self) -> None:
        """Find out who is asking. Raises `StoreUnavailable`."""
        try:
            credential = self.arrival.credential
            if credential is not None:
                identity = await self.auth.verify(credential)
                known_as(identity.actor or identity.subject, identity.session_id)
                self.identity = identity if identity.is_person else None  # the pages are for people
        except InvalidCredential:
            self.ended = True

    @property
    def next(self) -> str:
        """The ``next`` of the query, if it is a safe one."""
        return safe_next(self.request.query_params.get("next", ""))

    @property
    def is_sent(self) -> bool:
        """Whether somebody sends people here and says where they were headed, safe or not."""
        return "next" in self.request.query_params

    async def name(self) -> str:
        """What to call whoever is logged in, to their face; empty for nobody."""
        if self.identity is None:
            return ""
        found = await self.auth.logins.name_of(self.identity.subject) if self.auth.has_logins else None
        claimed = self.identity.claims.get("name")
        return found or (claimed if isinstance(claimed, str) and claimed else self.identity.subject)

    @property
    def ip(self) -> str:
        """The client's address, for the limits."""
        return self.arrival.client(self.auth.policy.trusted_proxies)

    @property
    def sessions(self) -> Sequence[str]:
        """The sessions that the browser's cookies name, live or not: for ending them, and for nothing else."""
        return sessions_named(self.auth, self.arrival.held())

    async def form(self, *sessions: str) -> Mapping[str, str]:
        """The form's fields. Raises `Refusal` for what is no form of ours, and `CrossSite` for one with a token of ours
        that was made for none of these sessions: a tab that was opened as somebody else.

        A form of a page of this origin, ours or the application's, needs no token; one whose browser does not say where
        it comes from does. What surely comes from elsewhere `endpoint` has refused already."""
        fields = await read_form(self.request)
        token = fields.get("csrf_token", "")
        if not sessions or (self.is_ours and not token.startswith(CSRF_PREFIX)):  # it may be the application's token
            return fields
        if not _made_for(self.auth.opaque, sessions, token):
            raise CrossSite("the form was not made for this session")
        return fields

    async def log_in(self, subject: str, *, once: str, epoch: int | None = None, remember: bool = False) -> Credentials:
        """Make the session that a page hands out, one for a form that is sent twice, and end those that the browser
        had, whosever they were."""
        return await log_in_once(self.auth, self.arrival, subject, value=once, epoch=epoch, remember=remember)

    def step_on(self, more: StepRequired, mode: Mode, next: str) -> Response:
        """To the page of the steps, with the login under way in a cookie that goes there alone."""
        cookies = delivery.attempt_cookie(self.request.scope, mode, more.attempt, more.expires_in)
        return delivery.with_cookies(self.go(delivery.STEPS, next=next), cookies)

    def require_cookies(self, mode: Mode = Mode.SESSION) -> None:
        """Raise `Refusal` where a browser could not be given our cookie, or the mode is not offered: ask before making
        a session."""
        chosen_mode(self.auth, self.arrival, mode.value)

    def deliver(self, response: Response, credentials: Credentials, *, renewed: bool = False) -> Response:
        """The response with the cookie of a new session. ``renewed``: it takes the place of the present one."""
        origins = self.auth.policy.origins
        return delivery.delivered(response, self.request.scope, credentials, origins, renewed=renewed)

    def forget(self, response: Response) -> Response:
        """The response that makes the browser forget our cookies."""
        return delivery.with_cookies(response, delivery.forget(self.request.scope))

    @property
    def is_ours(self) -> bool:
        """Whether the request surely comes from a page of this origin, or of a listed one."""
        return self.arrival.provenance(self.auth.policy.origins) is Provenance.OWN

    @property
    def site(self) -> Site:
        """Whose pages these are."""
        found: Site = self.request.app.state.site
        return found

    @property
    def home(self) -> str:
        """The address of the application; empty where the service is alone and nobody has said any."""
        home = self.site.home or ("/" if self.request.app.state.within else "")
        if not home.startswith("/"):
            return home
        above: dict[str, str] = {"root_path": self.request.scope.get("app_root_path", "")}
        return f"{delivery.root_of(above)}{home}"

    @property
    def features(self) -> Sequence[Feature]:
        """What the service has."""
        found: Sequence[Feature] = self.request.app.state.features
        return found

    def said(self, texts: Mapping[str, str]) -> str:
        """What ``?done=`` stands for, among fixed texts: a link can make a page say nothing else."""
        return texts.get(self.request.query_params.get("done", ""), "")

    def page(self, name: str, *, status: int = 200, **context: object) -> Response:
        """A page by the name of its template, with the bar on top when somebody is logged in."""
        token = self.auth.opaque.csrf_token(self.identity.session_id) if self.identity else ""
        assets: Assets = self.request.app.state.assets
        common: dict[str, object] = {
            "root": self.root,
            "stylesheets": [asset_url(assets, self.root, name) for name in (STYLESHEET, COLOURS) if name in assets],
            "logo": logo_url(assets, self.site, self.root),
            "site_name": self.site.name or ("" if self.request.app.state.within else OURS),
            "home": self.home,
            "way_back": self.next or self.home,
            "next": self.next,
            "script": SCRIPT,
            "csrf_token": token,
            "here": path_below(self.request.scope),
            "entries": [link for feature in self.features for link in feature.entries(self.auth)],
            "navigation": [link for feature in self.features for link in feature.navigation(self.auth)],
            "sections": [template for feature in self.features for template in feature.sections(self.auth)],
            "changes_password": self.auth.has_logins,
            "proves_again": self.auth.has_logins,
            "wide": False,
            "failed": status >= 400 and name != "error",
            "done": self.said(DONE.get(name, {})),
        }
        templates: Environment = self.request.app.state.templates
        return html(templates.get_template(f"{name}.html"), common | context, self.site, status=status)

    def go(self, page: str, **query: str) -> Response:
        """Go to another of our pages; a query parameter without a value is left out."""
        given = {name: value for name, value in query.items() if value}
        return redirect(f"{self.root}{page}" + (f"?{urlencode(given)}" if given else ""))

    def go_on(self, path: str, otherwise: str, **query: str) -> Response:
        """Go to where the person was headed, if that is safe, otherwise to a page of ours."""
        safe = safe_next(path)
        return redirect(safe) if safe else self.go(otherwise, **query)

    def enter(self, next: str, **query: str) -> Response:
        """Go on after a login: to where the person was headed, to the application where it says where that is,
        otherwise to the account."""
        if self.site.home and not safe_next(next):
            return redirect(self.home)
        return self.go_on(next, "/account", **query)

    def onward(self, next: str, otherwise: str, **query: str) -> Response:
        """Go on after what a form has done: to its ``next``, else to that of the address, else to the application."""
        wanted = safe_next(next) or self.next or self.home
        return redirect(wanted) if wanted else self.go(otherwise, **query)

    def log_in_first(self, page: str) -> Response:
        """To the login page, and from there on to ``page`` (a path of ours, perhaps with a query)."""
        return self.go("/login", next=f"{self.root}{page}", done="ended" if self.ended else "needed")

    def refusal(self, problem: Problem) -> Response:
        """The page for a refusal; where there are no pages, the problem."""
        if not self.request.app.state.pages:
            return problem_response(problem)
        otherwise = ("That cannot be done", problem.detail) if problem.status < 500 else _FAULT
        heading, text = _BY_CODE.get(problem.code) or _PAGES.get(problem.status, otherwise)
        back, back_text = self._way_on() if problem.status == 405 else self._way_home()
        response = self.page(
            "error", status=problem.status, heading=heading, text=text, back=f"{self.root}/{back}",
            back_text=back_text,
        )  # fmt: skip
        response.headers.update(dict(problem.headers))
        return response

    def _way_home(self) -> tuple[str, str]:
        return ("account", "Your account") if self.identity else ("login", "Log in")

    def _way_on(self) -> tuple[str, str]:
        """The page whose forms are sent to this address."""
        path = path_below(self.request.scope)
        for link in (link for feature in self.features for link in feature.navigation(self.auth)):
            if path.startswith(f"{link.path}/"):
                return (link.path.removeprefix("/"), link.label)
        return ("account", "Your account") if path.startswith("/account/") else self._way_home()


def endpoint(handler: Handler) -> Endpoint:
    """A route's function: it finds out who is asking, refuses forms of other sites, and answers every refusal with a
    page."""

    async def answer(request: Request) -> Response:
        visit = Visit(request)
        try:
            await visit.recognise()
            if visit.arrival.changes:
                check_origin(visit.auth, visit.arrival, None)
            return await handler(visit)
        except HTTPException as error:
            return visit.refusal(BY_STATUS.get(error.status_code, INTERNAL))
        except CoatcheckError as error:
            problem = public_problem(error)
            if isinstance(error, CrossSite):
                tell_cross_site(request)
            if problem.status >= 500:
                unforeseen = None if isinstance(error, StoreUnavailable) else error
                log.warning("cannot answer: %s", error, exc_info=unforeseen)
            return visit.refusal(problem)

    return answer


def _made_for(tokens: OpaqueTokens, sessions: Sequence[str], token: str) -> bool:
    for session_id in sessions:
        try:
            tokens.check_csrf_token(token, session_id)
        except CrossSite:
            continue
        return True
    return False


def wait_text(error: Throttled) -> str:
    """What to tell somebody who tried too often."""
    return f"Too many tries. Wait {duration(error.retry_after)}, then try again."


def wants_page(request: Request) -> bool:
    """Whether whoever asks would rather read a page than JSON: a browser that goes to an address."""
    return accepts_pages(", ".join(request.headers.getlist("accept")))


async def refusal(request: Request, problem: Problem) -> Response:
    """A friendly page for a refusal, with the bar on top if somebody is logged in."""

    async def refuse(visit: Visit) -> Response:
        return visit.refusal(problem)

    return await endpoint(refuse)(request)
