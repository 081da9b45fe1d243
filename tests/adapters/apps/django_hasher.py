"""Passwords of the Django project of the tests: nobody's are protected by what they cost."""

from __future__ import annotations

from coatcheck.django.hashers import CoatcheckHasher
from tests.adapters.suite.contract import CHEAP


class CheapHasher(CoatcheckHasher):
    """As the suite's own."""

    time_cost = CHEAP.passes
    memory_cost = CHEAP.memory
    parallelism = CHEAP.lanes
