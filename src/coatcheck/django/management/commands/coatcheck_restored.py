"""``manage.py coatcheck_restored``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ..hand_over import hand_over


class Command(BaseCommand):
    """``coatcheck restored`` on the project's stores."""

    help = "Say that a backup of the sessions was put back."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """How to answer."""
        parser.add_argument("--json", action="store_true", help="answer in JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError`."""
        hand_over("restored", *(["--json"] if options["json"] else []))
