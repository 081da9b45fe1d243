"""What an application imports: it has everything, loads no more than it must, and changes nothing of anybody else's."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

LAZY = ["fastapi", "starlette", "litestar", "flask", "django", "asgi", "wsgi"]
MODULES = [*LAZY, "sqlalchemy", "remote", "blocking", "testing"]
CORE = ("coatcheck", "coatcheck.blocking", "coatcheck.errors", "coatcheck.model")
ROOT = Path(__file__).parents[2]

CHANGES = """
import importlib, pkgutil, sys, types

WATCHED = ("fastapi", "starlette", "litestar", "flask", "werkzeug", "django", "sqlalchemy", "httpx", "pydantic")
for name in ("fastapi.routing", "fastapi.dependencies.utils", "fastapi.openapi.utils", "starlette.routing",
             "starlette.middleware.sessions", "litestar.app", "litestar.handlers", "flask.app", "flask.sessions",
             "django.middleware.cache", "django.contrib.sessions.backends.base", "django.core.handlers.base",
             "sqlalchemy.ext.asyncio", "httpx", "logging", "json", "asyncio", "ssl", "threading"):
    importlib.import_module(name)


def things():
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in (*WATCHED, "logging", "json", "asyncio", "ssl", "threading"):
            for attribute, thing in list(vars(module).items()):
                if issubclass(type(thing), types.ModuleType):
                    continue  # modules of theirs that ours load, too
                yield (name, attribute), thing
                if issubclass(type(thing), type) and thing.__module__.partition(".")[0] in WATCHED:
                    for own, value in list(vars(thing).items()):
                        if callable(value) or isinstance(value, (property, staticmethod, classmethod)):
                            yield (name, attribute, own), value


before = dict(things())
module = importlib.import_module("coatcheck.%s")
for name in getattr(module, "__all__", ()):
    try:
        getattr(module, name)
    except Exception as error:
        assert type(error).__name__ == "ImproperlyConfigured", error  # Django's settings, which are not there
after = dict(things())
changed = [key for key, thing in before.items() if key in after and after[key] is not thing]
print(sorted(".".join(key) for key in changed))
"""


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", MODULES)
def test_importing_changes_nothing(name: str) -> None:
    """Every function, class and method of the frameworks is the same one after all names of a module were loaded."""
    assert run(CHANGES % name) == "[]"


@pytest.mark.parametrize("name", LAZY)
def test_the_service_is_loaded_when_asked_for(name: str) -> None:
    """Whoever imports a module and verifies loads nothing of the service, of the pages or of the database."""
    heavy = {"jinja2", "sqlalchemy", "aiosqlite", "prometheus_client", "zxcvbn", "uvicorn"}
    heavy = (heavy | {"fastapi"}) - {name} - ({"jinja2"} if name == "flask" else set())  # which loads it itself
    program = f"import sys, coatcheck.{name}; print(sorted({heavy!r} & set(sys.modules)), "
    program += "[name for name in sys.modules if name.startswith('coatcheck.service')])"
    assert run(program) == "[] []"


@pytest.mark.parametrize("name", LAZY)
def test_every_name_is_there(name: str) -> None:
    """Each name that a module says it has can be imported, and another one cannot."""
    module = importlib.import_module(f"coatcheck.{name}")
    for each in module.__all__:
        if (name, each) != ("django", "auth"):  # which needs a project's settings
            assert getattr(module, each) is not None
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = module.nothing_of_ours


def programs() -> list[tuple[str, str]]:
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        blocks = re.findall(r"```python[^\n]*\n(.*?)```", page.read_text(), re.S)
        found += [(f"{page.name} {number}", block) for number, block in enumerate(blocks, 1)]
    found += [(str(file.relative_to(ROOT)), file.read_text()) for file in sorted((ROOT / "examples").rglob("*.py"))]
    return found


def test_one_line_of_imports() -> None:
    """No program of the documentation needs two of our modules for one framework, and none a module of ours that is not
    public."""
    many, inner = [], []
    for where, program in programs():
        ours = re.findall(r"^from (coatcheck[\w.]*) import", program, re.M)
        of_frameworks = [name for name in ours if name.split(".")[-1] in LAZY]
        plain = [name for name in ours if name in CORE]
        if len(set(of_frameworks)) > 1 or (of_frameworks and plain):
            many.append((where, ours))
        inner += [(where, name) for name in ours if name.startswith(("coatcheck.adapters", "coatcheck.service"))]
    assert inner == []
    assert many == []
