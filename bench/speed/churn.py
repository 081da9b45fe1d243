"""Cold and churning: what the other benchmarks spare us.

    python -m bench.speed.churn [--quick] [--only table logins storm start memory]

``table``: more credentials than the table of verified ones has room for (`churn_table`). ``logins``: logins and
refreshes, with passwords and without (`churn_logins`). ``storm``: a thousand revocations per second during load
(`churn_storm`). ``start``: beside a hundred thousand recent revocations (`churn_start`). ``memory``: of an entry of the
table (`churn_memory`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bench.speed import churn_logins, churn_memory, churn_start, churn_storm, churn_table  # noqa: E402

PARTS: Final[dict[str, Any]] = {
    "table": churn_table,
    "logins": churn_logins,
    "storm": churn_storm,
    "start": churn_start,
    "memory": churn_memory,
}


def run(quick: bool, parts: Sequence[str] = tuple(PARTS)) -> dict[str, Any]:
    """Measure. Raises `tests.support.servers.Missing` when a server is not installed, and `bench.speed.load.Failed`
    when one does not do what it must."""
    found = {name: PARTS[name].run(quick) for name in parts}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return] # as it will be read


def table(found: dict[str, Any]) -> str:
    """For reading."""
    return "\n\n".join(PARTS[name].table(part) for name, part in found.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="small and short: some seconds")
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    options = parser.parse_args()
    print(table(run(options.quick, options.only)))


if __name__ == "__main__":
    main()
