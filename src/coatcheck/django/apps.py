"""The installable application."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.core import checks


class CoatcheckConfig(AppConfig):
    """``"coatcheck.django"`` in ``INSTALLED_APPS``. It has no models and no tables in Django's database."""

    name = "coatcheck.django"
    label = "coatcheck"
    verbose_name = "Coatcheck"

    def ready(self) -> None:
        """Hide the settings' secrets, keep people apart in Django's caches, keep tests off real databases, register the
        checks, and listen to what happens to users."""
        from . import caches, conf, test_databases
        from . import checks as ours

        conf.hide()
        caches.keep_apart()
        test_databases.watch()
        checks.register(ours.check_settings, checks.Tags.security)
        checks.register(ours.check_middleware, checks.Tags.security)
        checks.register(ours.check_names, checks.Tags.security)
        checks.register(ours.check_hashers, checks.Tags.security)
        checks.register(ours.check_deployment, checks.Tags.security, deploy=True)
        if apps.is_installed("django.contrib.auth"):
            from . import changes, forms

            changes.listen()
            forms.listen()
