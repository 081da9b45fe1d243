"""A Django project's views that use everything of the adapter."""

from __future__ import annotations

from typing import assert_type

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View

from coatcheck import Identity, SubjectFacts
from coatcheck.adapters import demands
from coatcheck.blocking import Auth, RemoteVerifier
from coatcheck.django import (
    AuthMiddleware,
    DjangoUsers,
    LoggedInRequest,
    LoginRequiredMixin,
    Request,
    auth,
    current_user,
    cut_off,
    facts_of,
    fresh,
    knower,
    login_required,
    optional_user,
    requires,
    user_changed,
)
from coatcheck.django.rest import CoatcheckAuthentication
from coatcheck.django.urls import deliver

assert_type(auth, Auth)
assert_type(knower(), Auth | RemoteVerifier)


@login_required
def mine(request: LoggedInRequest) -> HttpResponse:
    assert_type(request.identity, Identity)
    return HttpResponse(request.identity.subject)


@login_required(login_url="/enter")
async def mine_async(request: LoggedInRequest) -> HttpResponse:
    user = await request.auser()
    return HttpResponse(user.get_username())


def public(request: Request) -> HttpResponse:
    assert_type(request.identity, Identity | None)
    assert_type(optional_user(request), Identity | None)
    return HttpResponse(current_user(request).subject)


@requires("editors", "staff")
@fresh(minutes=5, renew_url="/again")
def danger(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(str(number))


@method_decorator(login_required, name="dispatch")
class Reports(View):
    def get(self, request: LoggedInRequest) -> HttpResponse:
        cut_off(request.user)
        user_changed(request.user)
        return HttpResponse()


class Staff(LoginRequiredMixin, View):
    demand = demands.requires("staff")
    login_url = "/enter"


def enter(request: HttpRequest) -> HttpResponseBase:
    return deliver(request, HttpResponse("welcome"), auth.login("7"))


def facts(user: object) -> SubjectFacts:
    return facts_of(user)


# Decorators leave a view's type as it is.
assert_type(danger(HttpRequest(), 7), HttpResponse)
users = DjangoUsers(subject_field="username", facts=facts)
middleware = AuthMiddleware(lambda request: HttpResponse(request.path))
authentication = CoatcheckAuthentication()
urlpatterns = [
    path("mine", mine),
    path("reports", Reports.as_view()),
    path("auth/", include("coatcheck.django.urls")),
]
