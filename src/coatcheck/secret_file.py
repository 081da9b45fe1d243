"""The secret beside an embedded database: made once, mode 0600, one secret a line, the newest first."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .errors import ConfigurationError

_BYTES: Final = 32
"""256 bits from the operating system (ASVS 11.5.1 asks for 128)."""


def secret_beside(database: Path) -> Path:
    """Where the secret of an embedded database is: beside it."""
    return database.with_name(f"{database.name}.secret")


def given(secret: str | bytes | Sequence[str | bytes] | None, path: Path | None, forgotten: bool) -> list[bytes]:
    """The secrets as bytes: those of a setting, else those of the file beside the embedded database ``path``, else,
    where the database is ``forgotten`` at the end of the process, one made up for it. Raises `ConfigurationError`."""
    if secret is None:
        if path is not None:
            return read(secret_beside(path), path)
        if forgotten:
            return [secrets.token_bytes(_BYTES)]
        raise ConfigurationError("a secret of at least 32 characters is needed for this database: set secret=...")
    parts = [secret] if isinstance(secret, str | bytes) else secret
    return [part.encode() if isinstance(part, str) else part for part in parts]


def read(path: Path, database: Path) -> list[bytes]:
    """The secrets in the file beside the database. Raises `ConfigurationError` when it is missing, open to others,
    somebody else's (and not the owner's of the database) or holds none."""
    beside = database.stat().st_uid if database.exists() else None
    try:
        status = path.stat()
        lines = path.read_bytes().split()
    except OSError as error:
        raise ConfigurationError(f"cannot read the secret file {path}: {error.strerror}") from error
    if status.st_mode & 0o077:
        raise ConfigurationError(f"the secret file {path} can be read by others; run: chmod 600 {path}")
    check_private(status, path, "the secret", owner=beside)
    if not lines:
        raise ConfigurationError(f"the secret file {path} is empty; restore it from your backup")
    return lines


def check_private(status: os.stat_result, path: Path, what: str, *, owner: int | None = None) -> None:
    """Raise `ConfigurationError` for a file that others than this process's user and root can read or write, or own,
    for who owns a file can open it. ``what``: how the complaint begins. ``owner``: somebody else who may own it.

    A file of root's that this user may read by its group is no one else's business: an administrator or a secret
    manager has set it up so (``fsGroup`` of Kubernetes)."""
    mode = stat.S_IMODE(status.st_mode)
    by_group = status.st_uid == 0 and not mode & 0o030
    if mode & (0o007 if by_group else 0o077):
        raise ConfigurationError(
            f"{what}: others can read or write {path}; run: chmod 600 {path} (or have it mounted with mode 0400)"
        )
    user = os.geteuid() if hasattr(os, "geteuid") else status.st_uid
    if status.st_uid not in (0, user, owner):
        raise ConfigurationError(
            f"{what}: {path} belongs to another user, who can read and replace it; run: chown {user} {path}"
        )


def make(path: Path) -> bool:
    """Make the file unless it exists. Returns whether this call made it; of several at once, exactly one does.

    Raises `ConfigurationError` when the folder cannot be written."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        if path.exists():
            return False
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_hex(_BYTES).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # whole or not at all, and never over an existing one
        finally:
            draft.unlink()
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigurationError(f"cannot write the secret file {path}: {error.strerror}") from error
    return True
