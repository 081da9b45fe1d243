"""``manage.py coatcheck_migrate``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from ..hand_over import hand_over


class Command(BaseCommand):
    """``coatcheck migrate`` on the project's database."""

    help = "Make the schema of Coatcheck's database, or bring it up to date. A SQLite file needs no such step."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError`."""
        hand_over("migrate")
