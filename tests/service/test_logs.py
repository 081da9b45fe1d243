"""The log of the service."""

from __future__ import annotations

import logging

import pytest

from coatcheck.service.logs import Formatter


def _line(message: str, **extra: object) -> str:
    record = logging.makeLogRecord({"name": "coatcheck.x", "levelname": "INFO", "msg": message, **extra})
    return Formatter().format(record)


def test_what_a_record_holds_is_on_its_line() -> None:
    """Name and value, after the text."""
    assert _line("login", subject="u1", mode="jwt").endswith(' INFO coatcheck.x login subject="u1" mode="jwt"')


@pytest.mark.parametrize("nasty", ["a\nINFO coatcheck.x login", "\x1b[31m", "\r", "\u2028", "\u0085"])
def test_nobody_can_write_a_line_of_their_own(nasty: str) -> None:
    """What a client wrote stays on the line and cannot colour a terminal (ASVS 16.4.1)."""
    for line in (_line(f"refused {nasty}"), _line("refused", label=nasty)):
        assert line.isprintable()


def test_what_the_text_says_already_is_not_repeated() -> None:
    """Records of events carry their fields twice, for programs that read them."""
    assert _line("login ok: email='a'", event="login ok", email="a").endswith(" login ok: email='a'")
