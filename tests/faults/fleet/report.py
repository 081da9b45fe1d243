"""What many rounds came to, as numbers and as a table for people."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from .rounds import Result


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """p50, p99 and max in milliseconds, or None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    p99 = statistics.quantiles(ordered, n=100, method="inclusive")[98] if len(ordered) > 1 else ordered[0]
    return {
        "p50": round(statistics.median(ordered) * 1000, 1),
        "p99": round(p99 * 1000, 1),
        "max": round(ordered[-1] * 1000, 1),
    }


def summary(
    store: str, durability: str, fault: str, results: Sequence[Result], further: Sequence[str]
) -> dict[str, Any]:
    """One store under one fault. ``further``: what failed outside the rounds."""
    return {
        "store": store,
        "durability": durability,
        "fault": fault,
        "rounds": len(results),
        "seconds_of_fault": round(sum(result.lasted for result in results), 1),
        "revocations": sum(result.revocations for result in results),
        "sessions_ended": sum(result.sessions for result in results),
        "tries_that_failed": sum(result.failed_tries for result in results),
        "acceptances": sum(result.acceptances for result in results),
        "accepted_past_the_bound": sum(len(result.late) for result in results),
        "accepted_unauthorised": sum(len(result.unauthorised) for result in results),
        "revocations_lost": sum(len(result.lost) for result in results),
        "shut_out": sum(len(result.shut_out) for result in results),
        "broken": sum(len(result.broken) for result in results) + len(further),
        "last_acceptance_ms": spread([one for result in results for one in result.delays]),
        "verifying_again_ms": spread([one for result in results for one in result.verifying_again]),
        "revoking_again_ms": spread([one for result in results for one in result.revoking_again]),
        "failures": [*(text for result in results for text in result.failures), *further][:50],
    }


def has_failed(cell: dict[str, Any]) -> bool:
    counted = ("accepted_past_the_bound", "accepted_unauthorised", "revocations_lost", "shut_out", "broken")
    return not cell["rounds"] or any(cell[name] for name in counted)


def table(report: dict[str, Any]) -> str:
    """Markdown."""
    heading = (
        "store", "fault", "rounds", "sessions ended", "tries that failed", "past the bound", "unauthorised", "lost",
        "shut out", "last acceptance, ms", "verifying again, ms", "revoking again, ms",
    )  # fmt: skip
    lines = [
        "# Faults",
        "",
        f"A fleet of {report['verifying']} verifying processes and an issuing one; max_staleness "
        f"{report['max_staleness'] * 1000:.0f} ms; {report['machine']}. Made by `make faults`.",
        "Times are p50 / p99 / max. *Last acceptance* counts from when the revocation was confirmed, for each ended",
        "session and each verifying process; the others from the end of the fault, when the servers answer or the line",
        "carries again (of a failover: from its beginning).",
        "",
        "| " + " | ".join(heading) + " |",
        "|" + "---|" * len(heading),
    ]
    for cell in report["cells"]:
        row = (
            cell["store"], cell["fault"], cell["rounds"], cell["sessions_ended"], cell["tries_that_failed"],
            cell["accepted_past_the_bound"], cell["accepted_unauthorised"], cell["revocations_lost"],
            cell["shut_out"] + cell["broken"], _times(cell["last_acceptance_ms"]), _times(cell["verifying_again_ms"]),
            _times(cell["revoking_again_ms"]),
        )  # fmt: skip
        lines.append("| " + " | ".join(str(value) for value in row) + " |")
    durable = {cell["store"]: cell["durability"] for cell in report["cells"]}
    lines += ["", "Durability:", *(f"- {store}: {how}" for store, how in durable.items()), ""]
    return "\n".join(lines)


def _times(found: dict[str, float] | None) -> str:
    return "–" if found is None else " / ".join(f"{found[name]:.0f}" for name in ("p50", "p99", "max"))
