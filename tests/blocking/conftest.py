"""A directory with a database that was made once, for programs to run in."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.support.databases import migrated


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(migrated(tmp_path_factory.mktemp("template")))


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """With a migrated ``app.db`` and nothing else."""
    shutil.copy(template, tmp_path / "app.db")
    return tmp_path
