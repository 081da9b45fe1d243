"""What a view asks of whoever calls it: decorators for functions, a mixin for classes. Synchronous and asynchronous.

Whoever lacks what is asked for gets a problem (401, 403). A person who goes to a page and lacks a role gets the
project's own page for that (``403.html``, ``handler403``); one who is nobody is sent to
``LOGIN_URL`` with ``next``, one whose login is too old to the page for proving again who they are. A class that leaves
OPTIONS to Django answers it to everybody, for a browser's preflight carries no credential; a view that handles OPTIONS
itself is guarded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.views import View as ClassView

from ..adapters import demands
from ..adapters.demands import LOGGED_IN, Demand
from ..adapters.sent_forms import is_form, page_of_form
from ..errors import CoatcheckError, Forbidden, LoginTooOld, NotLoggedIn
from .refusals import refused, renew_page, sent_to_login
from .requests import EXEMPT, arrival_of, made_for, optional_user, wants_page

View = TypeVar("View", bound=Callable[..., Any])


@overload
def login_required(view: View) -> View: ...
@overload
def login_required(*, login_url: str | None = None) -> Callable[[View], View]: ...
def login_required(view: View | None = None, *, login_url: str | None = None) -> View | Callable[[View], View]:
    """A view that needs somebody logged in. ``login_url``: another page than ``LOGIN_URL``. Raises `TypeError` for a
    page where the view is meant."""
    if view is not None and not callable(view):
        raise TypeError("name the page: login_required(login_url=...)")

    def behind(view: View) -> View:
        return _behind(LOGGED_IN, view, login_url)

    return behind if view is None else behind(view)


def requires(*roles: str, login_url: str | None = None) -> Callable[[View], View]:
    """A view for whoever has all of these roles. Raises `ValueError` without any."""
    demand = demands.requires(*roles)
    return lambda view: _behind(demand, view, login_url)


def fresh(*, minutes: float, login_url: str | None = None, renew_url: str | None = None) -> Callable[[View], View]:
    """A view for whoever has proved who they are at most so many minutes ago; otherwise 401 ``login_too_old``.
    ``renew_url``: where a person is sent instead, to prove it again. Without it that is the included service's own page
    for it, where there is one."""
    demand = demands.fresh(minutes=minutes)
    return lambda view: _behind(demand, view, login_url, renew_url)


class LoginRequiredMixin:
    """For class-based views, before `View`: ``class Account(LoginRequiredMixin, View)``.

    ``demand``: `coatcheck.adapters.demands.LOGGED_IN`, or what its ``requires`` and ``fresh`` give."""

    demand: ClassVar[Demand] = LOGGED_IN
    login_url: ClassVar[str | None] = None
    renew_url: ClassVar[str | None] = None
    """As `fresh` has it."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Raises `TypeError` where another view's ``dispatch`` comes first: it would answer everybody."""
        super().__init_subclass__(**kwargs)
        for first in cls.mro()[: cls.mro().index(LoginRequiredMixin)]:
            if "dispatch" in vars(first) and issubclass(first, ClassView) and not issubclass(first, LoginRequiredMixin):
                raise TypeError(f"{cls.__name__}: put LoginRequiredMixin before {first.__name__}, not after")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """See `View.dispatch`."""
        answer = _refusal(request, self.demand, self.login_url, self.renew_url, self)
        return super().dispatch(request, *args, **kwargs) if answer is None else answer  # type: ignore[misc]  # a View's


def exempt(view: View) -> View:
    """A view whose bearer tokens are somebody else's, such as a webhook: nothing is refused before it. Whatever asks
    for somebody there is refused as anywhere. Django's own check of forms is another thing: ``csrf_exempt``."""
    if iscoroutinefunction(view):

        @wraps(view)
        async def left_out_async(*args: Any, **kwargs: Any) -> Any:
            return await view(*args, **kwargs)

        made: Any = left_out_async
    else:

        @wraps(view)
        def left_out(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs)

        made = left_out
    setattr(made, EXEMPT, True)
    return cast(View, made)


def _behind(demand: Demand, view: View, login_url: str | None, renew_url: str | None = None) -> View:
    if iscoroutinefunction(view):

        @wraps(view)
        async def asking_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            answer = _refusal(request, demand, login_url, renew_url, view)
            return await (view(request, *args, **kwargs) if answer is None else answer)

        return cast(View, asking_async)

    @wraps(view)
    def asking(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        answer = _refusal(request, demand, login_url, renew_url, view)
        return view(request, *args, **kwargs) if answer is None else answer

    return cast(View, asking)


def _refusal(request: HttpRequest, demand: Demand, login_url: str | None, renew_url: str | None, view: object) -> Any:
    """The answer for whoever does not meet the demand, None for whoever does."""
    clock = made_for(request).knower.clock
    try:
        demand.check(optional_user(request), clock)
    except CoatcheckError as error:
        untouched = _without_options(view) if request.method == "OPTIONS" else None
        if untouched is not None:
            return ClassView.options(untouched, request)
        by_form = is_form(request.META, arrival_of(request))
        if isinstance(error, Forbidden) and (by_form or wants_page(request)):
            raise PermissionDenied from error  # the project's own page for it: `403.html`, `handler403`
        if not made_for(request).sends or (not by_form and not wants_page(request)):
            return refused(request, error)
        back = (
            page_of_form(request.META, request.scheme or "", request.get_host()) if by_form else request.get_full_path()
        )
        if isinstance(error, NotLoggedIn):
            return sent_to_login(request, login_url, back)
        page = (renew_url or renew_page(request)) if isinstance(error, LoginTooOld) else None
        return refused(request, error) if page is None else sent_to_login(request, page, back)
    return None


def _without_options(view: Any) -> ClassView | None:
    """The class-based view behind this, where it leaves OPTIONS to Django: that says which methods there are, and runs
    nothing of the class."""
    made = view
    if hasattr(view, "view_class"):  # what `as_view` gives
        made = view.view_class(**getattr(view, "view_initkwargs", {}))
    elif not isinstance(view, ClassView):  # what `method_decorator` hands to a decorator
        made = getattr(getattr(view, "func", None), "__self__", None)
    return made if isinstance(made, ClassView) and type(made).options is ClassView.options else None
