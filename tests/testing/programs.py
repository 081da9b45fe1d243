"""An application in each framework, as its page begins, on a database in a file; and the first test of a newcomer."""

from __future__ import annotations

from typing import Final

FASTAPI: Final = """
from fastapi import FastAPI
from coatcheck.fastapi import CurrentUser, mount_auth

app = FastAPI()
mount_auth(app, "sqlite:///app.db")

@app.get("/me")
async def me(user: CurrentUser):
    return user.subject
"""
_STARLETTE: Final = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from coatcheck.starlette import current_user, mount_auth

app = Starlette()
mount_auth(app, "sqlite:///app.db")

async def me(request):
    return JSONResponse(current_user(request).subject)

app.add_route("/me", me)
"""
_LITESTAR: Final = """
from litestar import Litestar, get
from litestar.response import Response
from coatcheck.litestar import CurrentUser, ServicePlugin

@get("/me")
async def me(current_user: CurrentUser) -> Response:
    return Response(current_user.subject, media_type="application/json")

app = Litestar([me], plugins=[ServicePlugin("sqlite:///app.db")])
"""
_FLASK: Final = """
from flask import Flask, jsonify
from coatcheck.flask import current_user, login_required, mount_auth

app = Flask(__name__)
mount_auth(app, "sqlite:///app.db")

@app.get("/me")
@login_required
def me():
    return jsonify(current_user.subject)
"""
_DJANGO: Final = """
from django.http import JsonResponse
from django.urls import include, path
from coatcheck.django import login_required

DEBUG, SECRET_KEY, ROOT_URLCONF, LOGIN_URL = True, "for development only", "main", "/auth/login"
INSTALLED_APPS, MIDDLEWARE = ["coatcheck.django"], ["coatcheck.django.AuthMiddleware"]
COATCHECK = {"url": "sqlite:///app.db"}

def me(request):
    return JsonResponse(request.identity.subject, safe=False)

urlpatterns = [path("me", login_required(me)), path("auth/", include("coatcheck.django.urls"))]
"""
_IN_DJANGO: Final = """
import os
import django
from django.test.utils import setup_test_environment

os.environ["DJANGO_SETTINGS_MODULE"] = "main"
django.setup()
setup_test_environment()
"""

_MODULE: Final = """
from flask import Flask, jsonify
from coatcheck import blocking
from coatcheck.flask import Coatcheck, current_user, login_required

auth = blocking.Auth("sqlite:///app.db").start()
app = Flask(__name__)
Coatcheck(app, auth)

@app.get("/me")
@login_required
def me():
    return jsonify(current_user.subject)
"""
"""An `Auth` that runs from its import on."""

_ENTERED: Final = """
import pytest
from {library} import TestClient
from coatcheck.testing import login_as
from main import app

@pytest.fixture
def client():
    with TestClient(app) as client:
        yield client
"""
_NOT_ENTERED: Final = """
import pytest
from coatcheck.testing import login_as
{imports}

@pytest.fixture
def client():
    return {client}
"""
_TEST: Final = """

def test_me(client):
    made = login_as(client, "ann", roles=["admin"])
    answer = client.get("/me")
    assert answer.status_code == 200
    assert made.session.subject in str(getattr(answer, "text", "") or answer.content)
"""

_OF_FLASK: Final = _NOT_ENTERED.format(imports="from main import app", client="app.test_client()") + _TEST

TESTS: Final = _ENTERED.format(library="fastapi.testclient") + _TEST
"""Of the program in FastAPI."""

PROJECTS: Final = {
    "fastapi": {"main.py": FASTAPI, "test_main.py": TESTS},
    "starlette": {"main.py": _STARLETTE, "test_main.py": _ENTERED.format(library="starlette.testclient") + _TEST},
    "litestar": {"main.py": _LITESTAR, "test_main.py": _ENTERED.format(library="litestar.testing") + _TEST},
    "flask": {"main.py": _FLASK, "test_main.py": _OF_FLASK},
    "django": {
        "main.py": _DJANGO,
        "conftest.py": _IN_DJANGO,
        "test_main.py": _NOT_ENTERED.format(imports="from django.test import Client", client="Client()") + _TEST,
    },
    "at import": {"main.py": _MODULE, "conftest.py": "import main", "test_main.py": _OF_FLASK},
}
"""Files by their names, of each framework."""
