"""How commands answer: aligned tables for people, JSON with the names of the HTTP API for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click


def timestamp(at: float) -> str:
    """RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def answer(value: Any, *, as_json: bool, text: str) -> None:
    """Print the value as JSON, or the text."""
    if as_json:
        click.echo(json.dumps(value, indent=2))
    elif text:
        click.echo(text)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their widest cell. What is not printable is escaped: some of it was written by clients."""
    lines = [list(headings), *([printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def printable(text: str) -> str:
    """The text without anything that could colour a terminal or begin a line."""
    return "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in text)
