"""`login_as` at Django's Client and AsyncClient, in a project of its own: a process has one set of settings."""

from __future__ import annotations

from pathlib import Path

from tests.support.kit import run_pytest

_SETTINGS = """
from coatcheck.testing.clock import TravelClock
from coatcheck.testing.memory import blocking_memory_auth

SECRET_KEY = "not one"
ROOT_URLCONF = "urls"
ALLOWED_HOSTS = []
INSTALLED_APPS = ["coatcheck.django"]
MIDDLEWARE = ["coatcheck.django.AuthMiddleware"]
CLOCK = TravelClock()
COATCHECK = {"users": "coatcheck", "auth": blocking_memory_auth(CLOCK)}
"""
_URLS = """
from django.http import JsonResponse
from django.urls import path
from coatcheck.django import login_required, requires

@login_required
def mine(request):
    user = request.identity
    return JsonResponse({"subject": user.subject, "roles": sorted(user.roles), "mode": user.mode.value})

@login_required
async def amine(request):
    return mine(request)

@requires("admin")
def admin(request):
    return JsonResponse({})

urlpatterns = [path("mine", mine), path("amine", amine), path("admin", admin)]
"""
_CONFTEST = """
import os
import django
from django.test.utils import setup_test_environment
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
setup_test_environment()
"""
_TESTS = """
import asyncio
import pytest
from django.conf import settings
from django.test import AsyncClient, Client
from coatcheck.testing.client import assert_refused_after_revoke, login_as, logout

MODES = ["session", "jwt", "jwt-cookie"]

@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", ["/mine", "/amine"])
@pytest.mark.parametrize("place", [{}, {"SERVER_NAME": "localhost"}])
def test_client(mode, path, place):
    settings.ALLOWED_HOSTS.append("localhost")
    client = Client(**place)
    assert client.get(path).status_code == 401
    made = login_as(client, "ann", roles=["admin"], mode=mode)
    assert client.post(path).status_code == 200
    answer = client.get(path).json()
    assert answer == {"subject": made.session.subject, "roles": ["admin"], "mode": mode}
    assert client.get("/admin").status_code == 200
    settings.CLOCK.advance(60)
    assert client.get(path).status_code == 200
    settings.CLOCK.advance(3600)
    assert client.get(path).status_code == 401
    login_as(client, "ann", mode=mode)
    logout(client)
    assert client.get(path).status_code == 401
    assert_refused_after_revoke(client, "GET", path, mode=mode)
    assert_refused_after_revoke(client, "POST", path, mode=mode)
    assert_refused_after_revoke(client, "GET", "/admin", roles=["admin"], mode=mode)

@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", ["/mine", "/amine"])
def test_async_client(mode, path):
    async def work():
        client = AsyncClient()
        made = await login_as(client, "bob", mode=mode)
        answer = await client.post(path)
        assert answer.json()["subject"] == made.session.subject
        await logout(client)
        assert (await client.get(path)).status_code == 401
        await assert_refused_after_revoke(client, "GET", path, mode=mode)
    asyncio.run(work())
"""


def test_django(tmp_path: Path) -> None:
    """In every mode, at synchronous and asynchronous views: in, out, revoked, and past its time."""
    files = {"settings.py": _SETTINGS, "urls.py": _URLS, "conftest.py": _CONFTEST, "test_site.py": _TESTS}
    done = run_pytest(tmp_path, files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "18 passed" in done.stdout


_OWN_SETTINGS = """
SECRET_KEY = "not one"
ROOT_URLCONF = "urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "coatcheck.django"]
MIDDLEWARE = ["coatcheck.django.AuthMiddleware"]
COATCHECK = {"url": "memory://"}
"""
_OWN_CONFTEST = (
    _CONFTEST
    + """
from django.core.management import call_command
call_command("migrate", verbosity=0)
"""
)
_OWN_TESTS = """
from django.contrib.auth.models import User
from django.test import TestCase, TransactionTestCase
from coatcheck.testing.client import assert_refused_after_revoke, login_as

class TestThreads(TestCase):
    def test_client(self):
        subject = str(User.objects.create_user("ann").pk)
        login_as(self.client, subject)
        self.assertEqual(self.client.get("/mine").json()["subject"], subject)

class TestEventLoop(TransactionTestCase):
    async def test_async_client(self):
        subject = str((await User.objects.acreate_user("ann")).pk)
        await login_as(self.async_client, subject)
        self.assertEqual((await self.async_client.get("/amine")).json()["subject"], subject)
        await assert_refused_after_revoke(self.async_client, "GET", "/amine", subject=subject)
"""


def test_own_users(tmp_path: Path) -> None:
    """Django's users are logged in at either client: in a transaction of the test's, and in its event loop."""
    files = {"settings.py": _OWN_SETTINGS, "urls.py": _URLS, "conftest.py": _OWN_CONFTEST, "test_site.py": _OWN_TESTS}
    done = run_pytest(tmp_path, files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
