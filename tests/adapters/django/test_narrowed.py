"""What is narrowed by scopes is narrowed for Django too: its user and permissions are all that a person may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.decorators import permission_required, user_passes_test
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import override_settings
from django.urls import path

from coatcheck import Access, Mode
from coatcheck.blocking import Auth
from tests.adapters.django.browser import Browser


@permission_required("auth.delete_user", raise_exception=True)
def permitted(request: HttpRequest) -> HttpResponse:
    return HttpResponse("deleted")


@user_passes_test(lambda user: bool(getattr(user, "is_staff", False)))
def staff(request: HttpRequest) -> HttpResponse:
    return HttpResponse("staff")


def seen(request: HttpRequest) -> JsonResponse:
    user: Any = request.user
    return JsonResponse({"is": user.is_authenticated, "pk": user.pk, "flags": [user.is_staff, user.is_superuser]})


async def seen_async(request: HttpRequest) -> JsonResponse:
    user: Any = await request.auser()
    return JsonResponse({"is": user.is_authenticated, "pk": user.pk, "flags": [user.is_staff, user.is_superuser]})


urlpatterns = [path("permitted", permitted), path("staff", staff), path("seen", seen), path("seen-async", seen_async)]


@pytest.fixture
def routes() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


def test_scopes_narrow_what_django_permits(browser: Browser, auth: Auth, ann: User, routes: None) -> None:
    """A superuser's narrowed access is somebody, and has none of Django's permissions and flags."""
    ann.is_staff = ann.is_superuser = True
    ann.save()
    whole = auth.login(str(ann.pk), mode=Mode.JWT).access_token
    narrowed = auth.login(str(ann.pk), mode=Mode.JWT, access=Access(scopes=frozenset({"orders:read"}))).access_token
    browser.bearer = whole or ""
    assert browser.get("/permitted").content + browser.get("/staff").content == b"deletedstaff"
    assert browser.get("/seen").json() == {"is": True, "pk": ann.pk, "flags": [True, True]}
    browser.bearer = narrowed or ""
    assert [browser.get(page).status_code for page in ("/permitted", "/staff")] == [403, 302]
    for page in ("/seen", "/seen-async"):
        assert browser.get(page).json() == {"is": True, "pk": str(ann.pk), "flags": [False, False]}
