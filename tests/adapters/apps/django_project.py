"""The one Django project of a test process: its settings are global, so all tests of Django share them and override
what they want otherwise."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

import django
from django.conf import settings

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "coatcheck.django.AuthMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
"""As ``startproject`` has it, and ours."""


def setup() -> Path:
    """Make the project, once. Returns its ``BASE_DIR``, which is deleted at the end of the process."""
    if not settings.configured:
        folder = Path(tempfile.mkdtemp(prefix="coatcheck-django-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        settings.configure(
            BASE_DIR=folder,
            SECRET_KEY="only for tests",
            ALLOWED_HOSTS=["*"],
            USE_TZ=True,
            ROOT_URLCONF="tests.adapters.apps.django_urls",
            INSTALLED_APPS=[
                "django.contrib.admin",
                "django.contrib.auth",
                "django.contrib.contenttypes",
                "django.contrib.sessions",
                "django.contrib.messages",
                "coatcheck.django",
            ],
            MIDDLEWARE=MIDDLEWARE,
            TEMPLATES=[
                {
                    "BACKEND": "django.template.backends.django.DjangoTemplates",
                    "APP_DIRS": True,
                    "OPTIONS": {
                        "context_processors": [
                            "django.template.context_processors.request",
                            "django.contrib.auth.context_processors.auth",
                            "django.contrib.messages.context_processors.messages",
                        ]
                    },
                }
            ],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3"}},
            PASSWORD_HASHERS=[
                "tests.adapters.apps.django_hasher.CheapHasher",
                "django.contrib.auth.hashers.PBKDF2PasswordHasher",
            ],
            LOGGING_CONFIG=None,
        )
        django.setup()
    return Path(settings.BASE_DIR)
