"""``manage.py coatcheck_revoke``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ..hand_over import hand_over, subject_of


class Command(BaseCommand):
    """``coatcheck sessions revoke`` on the project's stores."""

    help = "End sessions everywhere, by their ids or all of one user."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Sessions or a user."""
        parser.add_argument("session", nargs="*", help="a session's id; put -- before one that begins with a dash")
        parser.add_argument("--user", help="a login name, or a subject's id: all sessions end")
        parser.add_argument("--wait", action="store_true", help="return when no process can accept them any more")
        parser.add_argument("--json", action="store_true", help="answer in JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError`."""
        flags = [f"--{name}" for name in ("wait", "json") if options[name]]
        user = [f"--subject={subject_of(options['user'])}"] if options["user"] else []
        hand_over("sessions", "revoke", *flags, *user, "--", *options["session"])
