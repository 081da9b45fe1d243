"""Packages that Coatcheck does not bring along. Where one is missing, one line says what to install.

`setting_needs` is for what a setting or an argument has chosen, `module_needs` for a module that is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from .errors import ConfigurationError

_INSTALL: Final = {
    "asyncpg": "'coatcheck[postgresql]'",
    "redis": "'coatcheck[redis]'",
    "httpx": "'coatcheck[remote]'",
    "bcrypt": "'coatcheck[bcrypt]'",
    "rest_framework": "djangorestframework",
}
"""By the name that is imported, where that is not what is installed."""


def missing(what: str, package: str, install: str = "") -> str:
    """The line. ``what`` needs ``package``, by the name that is imported; ``install``: what brings it, if not its
    extra."""
    return f"{what} needs {package}: pip install {install or _INSTALL.get(package, package)}"


@contextmanager
def setting_needs(what: str, package: str) -> Iterator[None]:
    """Around the import: raises `ConfigurationError` where the package is missing or lacks what is imported of it."""
    try:
        yield
    except ImportError as error:
        if not _is_of(package, error):
            raise
        raise ConfigurationError(missing(what, package)) from error


@contextmanager
def module_needs(what: str, package: str, install: str = "") -> Iterator[None]:
    """Around the import: raises `ModuleNotFoundError` with the line where the package is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not _is_of(package, error):
            raise
        raise ModuleNotFoundError(missing(what, package, install), name=error.name, path=error.path) from None


def _is_of(package: str, error: ImportError) -> bool:
    return (error.name or "").partition(".")[0] == package
