"""The public names: loaded when they are asked for, and all there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import coatcheck
from tests.support.service import environment


@pytest.mark.parametrize("name", coatcheck.__all__)
def test_public_name(name: str) -> None:
    """Every public name is there, is a part of ``dir``, and is looked up once."""
    found = getattr(coatcheck, name)
    assert vars(coatcheck)[name] is found
    assert name in dir(coatcheck)


def test_no_other_name() -> None:
    """What is not public is an ordinary AttributeError."""
    with pytest.raises(AttributeError, match="has no attribute 'Sessions'"):
        coatcheck.Sessions  # noqa: B018 - looking is what is tried


def test_importing_it_loads_nothing() -> None:
    """``import coatcheck`` alone costs next to nothing; a name brings its own module along, and no web framework."""
    heavy = "{'msgspec', 'cryptography', 'argon2', 'sqlalchemy', 'fastapi', 'starlette', 'flask', 'django'}"
    program = f"import sys, coatcheck; assert not {heavy} & set(sys.modules); from coatcheck import Auth, Mode"
    program += "; assert not {'sqlalchemy', 'fastapi', 'starlette', 'flask', 'django'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, env=environment())
