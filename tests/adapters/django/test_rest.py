"""Django REST framework: the same users and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from django.urls import path

from coatcheck import Mode
from tests.adapters.django.browser import EVIL, OWN, Browser


def make_view(permission: str) -> Any:
    """Loaded late: the framework wants settings."""
    from rest_framework import permissions
    from rest_framework.decorators import api_view, authentication_classes, permission_classes
    from rest_framework.response import Response

    from coatcheck.django.rest import CoatcheckAuthentication

    @api_view(["GET", "POST"])
    @authentication_classes([CoatcheckAuthentication])
    @permission_classes([getattr(permissions, permission)])
    def view(request: Any) -> Any:
        return Response(
            {"name": request.user.get_username(), "roles": sorted(request.auth.roles) if request.auth else []}
        )

    return view


urlpatterns: list[Any] = []


@pytest.fixture
def browser(browser: Browser) -> Iterator[Browser]:
    from tests.adapters.django import urls

    names = {"any": "AllowAny", "mine": "IsAuthenticated", "staff": "IsAdminUser"}
    urlpatterns[:] = [*urls.urlpatterns, *(path(f"rest/{name}", make_view(kind)) for name, kind in names.items())]
    with override_settings(ROOT_URLCONF=__name__):
        yield browser


@pytest.mark.parametrize("mode", list(Mode), ids=str)
def test_rest(browser: Browser, ann: User, mode: Mode) -> None:
    """`request.user` and `request.auth` are those of the credential; nobody is 401 with a challenge."""
    answer = browser.get("/rest/mine")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert browser.get("/rest/any").json() == {"name": "", "roles": []}
    browser.enter(ann, mode)
    assert browser.get("/rest/mine").json() == {"name": ann.username, "roles": []}
    assert browser.get("/rest/staff").status_code == 403
    ann.is_staff = True
    ann.save()
    browser.enter(ann, mode)
    assert browser.get("/rest/staff").json()["roles"] == ["staff"]


def test_changes(browser: Browser, ann: User) -> None:
    """The views are free of Django's check, and ours has been made all the same."""
    browser.enter(ann)
    assert browser.post("/rest/mine", headers=OWN).status_code == 200
    assert browser.post("/rest/mine", headers=EVIL).json()["code"] == "cross_site"
    User.objects.filter(pk=ann.pk).update(is_active=False)
    assert browser.get("/rest/any").status_code == 401
