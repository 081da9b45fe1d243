"""Coatcheck beside the same application without it, in the same process: what share of its speed is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .contenders import Running
from .load import Load, load, together

ABBA: Final = "abba"
"""Bare, guarded, guarded, bare: a steady drift of the machine cancels out."""


def turn(made: Running, *, seconds: int, order: str = ABBA) -> tuple[Load, Load]:
    """One turn: ``a`` is the bare application and ``b`` the guarded one. Both get the same headers to parse."""
    urls = {"a": made.bare_url, "b": made.url}
    done = [(each, load(urls[each], made.file, made.pid, store=made.store, seconds=seconds)) for each in order]
    bare, guarded = ([one for each, one in done if each == which] for which in "ab")
    return together(bare), together(guarded)


def shares(turns: Sequence[tuple[Load, Load]]) -> dict[str, Any]:
    """What the turns came to, a number per turn, as JSON data.

    ``throughput``: the share of the bare application's requests per second; ``processor``: of those per second of
    processor time; ``added_us``: processor time that authentication adds to a request.
    """
    return {
        "throughput": [round(guarded.per_second / bare.per_second, 4) for bare, guarded in turns],
        "processor": [round(guarded.per_processor_second / bare.per_processor_second, 4) for bare, guarded in turns],
        "added_us": [
            round(1e6 / guarded.per_processor_second - 1e6 / bare.per_processor_second, 3) for bare, guarded in turns
        ],
        "bare_per_second": [round(bare.per_second, 1) for bare, _ in turns],
    }
