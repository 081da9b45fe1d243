"""The routes of the suite's application in Django: functions and classes, synchronous and asynchronous ones mixed.

They are exempt from Django's check of where a request comes from, as routes of an API are: it refuses whatever nobody
posts without a form of its own. ``tests/adapters/django/test_csrf.py`` has both checks together.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from coatcheck.adapters.demands import fresh as fresh_demand
from coatcheck.django import (
    LoggedInRequest,
    LoginRequiredMixin,
    current_user,
    exempt,
    login_required,
    optional_user,
    requires,
)


def answer(request: HttpRequest) -> JsonResponse:
    """Who is asking."""
    user = current_user(request)
    return JsonResponse(
        {"subject": user.subject, "session": user.session_id, "mode": user.mode, "roles": sorted(user.roles)}
    )


async def open_view(request: HttpRequest) -> JsonResponse:
    user = optional_user(request)
    assert request.user.is_authenticated == (user is not None)
    assert await request.auser() == request.user
    return JsonResponse({"subject": user.subject if user else None})


@method_decorator(login_required, name="dispatch")
class Mine(View):
    def get(self, request: LoggedInRequest) -> JsonResponse:
        return answer(request)

    def post(self, request: LoggedInRequest) -> JsonResponse:
        assert request.user.pk == request.identity.subject
        return answer(request)


@requires("admin")
def admin(request: HttpRequest) -> JsonResponse:
    return answer(request)


class Danger(LoginRequiredMixin, View):
    demand = fresh_demand(minutes=5)

    async def post(self, request: HttpRequest) -> JsonResponse:
        return answer(request)


@csrf_exempt
@exempt
def theirs(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"authorization": request.headers.get("Authorization")})


@method_decorator(exempt, name="dispatch")
class TheirsMine(LoginRequiredMixin, View):
    async def get(self, request: LoggedInRequest) -> JsonResponse:
        return answer(request)


urlpatterns: list[Any] = [
    path("open", csrf_exempt(open_view)),
    path("mine", csrf_exempt(Mine.as_view())),
    path("admin", admin),
    path("danger", csrf_exempt(Danger.as_view())),
    path("theirs", theirs),
    path("theirs/mine", TheirsMine.as_view()),
    path("auth/", include("coatcheck.django.urls")),
]
