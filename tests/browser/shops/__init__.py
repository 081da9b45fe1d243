"""One small application per framework, as somebody who has read the documentation writes it in their first hour.

A front page for everybody with a logout button of its own, a page for whoever is logged in, a form that needs somebody,
a name, a colour and a logo. ``PREFIX``: the path below which a proxy has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

LOGO: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" fill="#7c3aed"/></svg>'
)
_HERE: Final = Path(__file__).parent
_UVICORN: Final = ("uvicorn", "main:app", "--no-access-log", "--port", "{port}")
_GUNICORN: Final = ("gunicorn", "main:app", "--no-control-socket", "--threads", "4", "--bind", "127.0.0.1:{port}")
NAMES: Final = ("fastapi", "starlette", "litestar", "flask", "django")


def program(name: str) -> str:
    """What is in its ``main.py``."""
    return (_HERE / f"{name}_shop.py").read_text("utf-8")


def command(name: str, prefix: str = "") -> Sequence[str]:
    """What starts it; a module first."""
    if name in ("flask", "django"):
        return (*_GUNICORN, "--env", f"PREFIX={prefix}")
    return (*_UVICORN, "--root-path", prefix) if prefix else _UVICORN
