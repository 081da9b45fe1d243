"""``manage.py coatcheck_sessions USER``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ..hand_over import hand_over, subject_of


class Command(BaseCommand):
    """``coatcheck sessions list`` on the project's stores."""

    help = "List the live sessions of a user, newest first."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The user and the page."""
        parser.add_argument("user", help="a login name, or a subject's id")
        parser.add_argument("--limit", type=int, default=50, help="rows of one page, 50 by default")
        parser.add_argument("--cursor", help="go on where the page before ended")
        parser.add_argument("--json", action="store_true", help="answer in JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError`."""
        more = ["--cursor", options["cursor"]] if options["cursor"] else []
        more += ["--json"] if options["json"] else []
        hand_over("sessions", "list", "--limit", str(options["limit"]), *more, "--", subject_of(options["user"]))
