"""Routes of these tests."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import login
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import engines
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from coatcheck import Mode
from coatcheck.adapters.demands import requires as roles_demand
from coatcheck.django import (
    LoginRequiredMixin,
    auth,
    current_user,
    fresh,
    login_required,
    optional_user,
    requires,
)
from coatcheck.django.conf import auth as present_auth
from coatcheck.django.urls import deliver

TEMPLATE = (
    "{% if user.is_authenticated %}{{ user.get_username }} {{ request.identity.subject }}{% else %}nobody{% endif %}"
)
imported = auth
"""Under whatever settings these routes were loaded first."""


def open_view(request: HttpRequest) -> JsonResponse:
    user = optional_user(request)
    return JsonResponse({"subject": user.subject if user else None})


def touched(request: HttpRequest) -> JsonResponse:
    name = request.user.get_username()
    return JsonResponse({"name": name, "active": request.user.is_active, "known": optional_user(request) is not None})


async def touched_async(request: HttpRequest) -> JsonResponse:
    user = await request.auser()
    return JsonResponse(
        {"name": user.get_username(), "active": user.is_active, "known": (await request.auser()) is user}
    )


def form(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return HttpResponse(f"posted by {optional_user(request) and 'somebody'}")
    return HttpResponse(engines["django"].from_string("<form>{% csrf_token %}</form>").render({}, request))


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(engines["django"].from_string(TEMPLATE).render({}, request))


@login_required
def mine(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"subject": current_user(request).subject, "roles": sorted(current_user(request).roles)})


@login_required(login_url="/elsewhere")
async def mine_async(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"subject": current_user(request).subject})


@requires("editors", "staff")
def editors(request: HttpRequest) -> HttpResponse:
    return HttpResponse("edited")


@fresh(minutes=5, renew_url="/again")
def danger(request: HttpRequest) -> HttpResponse:
    return HttpResponse("done")


class Sync(LoginRequiredMixin, View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("sync")


class Async(LoginRequiredMixin, View):
    demand = roles_demand("staff")

    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("async")


@method_decorator(login_required, name="dispatch")
class Decorated(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("decorated")


def raises(request: HttpRequest) -> HttpResponse:
    return HttpResponse(current_user(request).subject)


def own_login(request: HttpRequest) -> HttpResponse:
    """A login of the application's own, in whatever mode."""
    made = present_auth().login(request.GET["subject"], mode=Mode(request.GET["mode"]))
    response = HttpResponse("welcome")
    deliver(request, response, made)
    return response


@login_required
def leave(request: HttpRequest) -> HttpResponse:
    """Somebody closes their own account."""
    request.user.is_active = False
    request.user.save()
    return HttpResponse("bye")


@login_required
def new_password(request: HttpRequest) -> HttpResponse:
    """A password form of the application's own, which logs in anew by hand."""
    user: Any = request.user
    user.set_password(request.GET["password"])
    user.save()
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse("changed")


@transaction.atomic
def in_transaction(request: HttpRequest) -> JsonResponse:
    """Changes a user, looks at the facts in the middle of it, and takes it back."""
    from django.contrib.auth.models import User

    subject = request.GET["subject"]
    User.objects.filter(pk=subject).update(is_staff=True)
    facts = present_auth().run(lambda inner: inner.subjects.facts(subject))
    transaction.set_rollback(True)
    return JsonResponse({"roles": sorted(facts.roles) if facts else None})


urlpatterns: list[Any] = [
    path("open", open_view),
    path("touched", touched),
    path("touched-async", touched_async),
    path("form", form),
    path("page", page),
    path("mine", mine),
    path("mine-async", mine_async),
    path("editors", editors),
    path("danger", danger),
    path("late", csrf_exempt(login_required(open_view))),
    path("sync", Sync.as_view()),
    path("async", Async.as_view()),
    path("decorated", Decorated.as_view()),
    path("raises", raises),
    path("own-login", own_login),
    path("leave", leave),
    path("new-password", new_password),
    path("in-transaction", in_transaction),
    path("accounts/login/", LoginView.as_view(template_name="admin/login.html", next_page="/open")),
    path("accounts/logout/", LogoutView.as_view(next_page="/open")),
    path("accounts/password/", PasswordChangeView.as_view(template_name="admin/login.html", success_url="/open")),
    path("admin/", admin.site.urls),
    path("auth/", include("coatcheck.django.urls")),
]
