"""What a run must show, as data: each target is computed from what the parts found, and met, missed or not measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from statistics import median
from typing import Any, Final, Protocol

Parts = Mapping[str, Any]
"""Name of a part to what its `run` returned, or to ``{"error": why}``."""


class NotMeasured(Exception):
    """What a comparison needs is not there. The message says what."""


@dataclass(frozen=True)
class Row:
    """One comparison: a value per round, judged by their median."""

    label: str
    values: Sequence[float]
    note: str = ""
    """The same by other means; it decides nothing."""

    @property
    def middle(self) -> float:
        return median(self.values)


class Comparison(Protocol):
    """How rows come out of the data."""

    @property
    def patterns(self) -> Sequence[str]:
        """Ids of the contenders that it needs."""

    def rows(self, parts: Parts) -> list[Row]:
        """Raises `NotMeasured`."""


@dataclass(frozen=True)
class Target:
    """``bound`` must be reached (``at_least``) or not be exceeded by every row."""

    name: str
    said: str
    bound: float
    compared: Sequence[Comparison]
    unit: str
    """``x`` for a multiple, ``%`` for a share, ``1/`` for a small share that is told as one over so many."""
    at_least: bool = True

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def missed_by(self, value: float) -> float:
        """How far the value lies on the wrong side, as a share of the bound; 0 where it is met."""
        return 0.0 if self.met(value) else abs(value / self.bound - 1)


@dataclass(frozen=True)
class Outcome:
    """What became of a target."""

    target: Target
    rows: Sequence[Row]
    missing: Sequence[str]
    """Why it, or some of it, was not measured."""

    @property
    def verdict(self) -> str:
        """A target that is met so far and not measured as a whole is not met."""
        if any(not self.target.met(row.middle) for row in self.rows):
            return "missed"
        return "met" if self.rows and not self.missing else "not measured"


def evaluated(parts: Parts) -> list[Outcome]:
    """Every target's outcome, in the order of the list."""
    return [_outcome(each, parts) for each in TARGETS]


def _outcome(target: Target, parts: Parts) -> Outcome:
    rows: list[Row] = []
    missing: list[str] = []
    for comparison in target.compared:
        try:
            rows += comparison.rows(parts)
        except NotMeasured as error:
            missing.append(str(error))
    return Outcome(target, rows, missing)


def named_by_targets(name: str) -> bool:
    """Whether a target needs the contender of this id."""
    return any(
        fnmatchcase(name, pattern) for each in TARGETS for one in each.compared for pattern in one.patterns
    )  # fmt: skip


# --- what is computed from the data ------------------------------------------------------------------------


def part(parts: Parts, name: str) -> Any:
    """What a part found."""
    found = parts.get(name)
    if found is None:
        raise NotMeasured(f"part {name} did not run")
    if "error" in found:
        raise NotMeasured(f"part {name}: {found['error']}")
    return found


def contenders(parts: Parts, pattern: str) -> list[Any]:
    """Those of the HTTP part whose id fits. Raises `NotMeasured` when there is none, or one of them failed."""
    http = part(parts, "http")
    failed = [f"{name} failed: {why}" for name, why in http["failed"].items() if fnmatchcase(name, pattern)]
    if failed:
        raise NotMeasured("; ".join(failed))
    found = [each for name, each in http["contenders"].items() if fnmatchcase(name, pattern)]
    if not found:
        raise NotMeasured(f"no contender {pattern} was measured")
    return found


@dataclass(frozen=True)
class Times:
    """How many times as many requests per second ours answers as each of theirs, in the same round."""

    ours: str
    theirs: str

    @property
    def patterns(self) -> Sequence[str]:
        return self.ours, self.theirs

    def rows(self, parts: Parts) -> list[Row]:
        ours, theirs = contenders(parts, self.ours), contenders(parts, self.theirs)
        return [self._row(one, other) for one in ours for other in theirs]

    def _row(self, one: Any, other: Any) -> Row:
        rates = zip(one["requests_per_second"], other["requests_per_second"], strict=True)
        costs = zip(one["processor_us_per_request"], other["processor_us_per_request"], strict=True)
        by_cost = median(theirs / ours for ours, theirs in costs)
        return Row(
            f"{one['label']} beside {other['label']}", [a / b for a, b in rates], f"{by_cost:.2f} by processor time"
        )


@dataclass(frozen=True)
class ShareOfBare:
    """What is left of the bare application's requests per second."""

    ours: str

    @property
    def patterns(self) -> Sequence[str]:
        return (self.ours,)

    def rows(self, parts: Parts) -> list[Row]:
        return [self._row(each) for each in contenders(parts, self.ours)]

    def _row(self, one: Any) -> Row:
        if "share_of_bare" not in one:
            raise NotMeasured(f"{one['label']} has no bare application beside it")
        found = one["share_of_bare"]
        processor, added = median(found["processor"]), median(found["added_us"])
        return Row(one["label"], found["throughput"], f"{processor:.1%} by processor time, {added:+.1f} µs a request")


@dataclass(frozen=True)
class Found:
    """Rows out of another part's data."""

    part: str
    compute: Callable[[Any], list[Row]]
    patterns: Sequence[str] = ()

    def rows(self, parts: Parts) -> list[Row]:
        data = part(parts, self.part)
        try:
            rows = self.compute(data)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
            raise NotMeasured(f"part {self.part} gave other data than expected: {error!r}") from error
        if not rows:
            raise NotMeasured(f"part {self.part} gave nothing to compare")
        return rows


def _hit(name: str) -> Found:
    return Found("hit", lambda data: [Row(f"{mode} mode", found[name]) for mode, found in data["modes"].items()])


def _first_sight(other: str, algorithms: Sequence[str]) -> Found:
    def rows(data: Any) -> list[Row]:
        return [
            Row(
                f"{algorithm}, from the header to the identity in the table",
                data["ratios"][algorithm][f"whole_to_{other}"],
                f"the token's reading alone {median(data['ratios'][algorithm][f'read_to_{other}']):.2f} of it",
            )
            for algorithm in algorithms
        ]

    return Found("first_sight", rows)


def _size(data: Any) -> list[Row]:
    """The operation of each store whose cost grows most is told; all must be flat."""
    rows = []
    for store, found in data["stores"].items():
        name, worst = max(found["operations"].items(), key=lambda each: each[1]["ratio"])
        sizes = f"{data['sizes'][0]:,} to {data['sizes'][-1]:,} sessions"
        rows.append(Row(f"{store}, {sizes}: {name}, which grows most of {len(found['operations'])}", worst["ratios"]))
    return rows


def _tail(data: Any) -> list[Row]:
    return [
        Row(
            f"{name.replace('_', ' ')}: p99 beside p99 alone",
            [b["p99_ms"] / a["p99_ms"] for a, b in zip(each["alone"], each["disturbed"], strict=True)],
        )
        for name, each in data.items()
        if name.startswith("logins")
    ]


# --- the targets -------------------------------------------------------------------------------------------


def _modes(framework: str) -> tuple[ShareOfBare, ...]:
    return tuple(ShareOfBare(f"coatcheck-{framework}-{mode}") for mode in ("session", "jwt", "jwt-cookie"))


TARGETS: Final = (
    Target("share on raw ASGI", "every mode ≥ 97 % of the same server bare", 0.97, _modes("asgi"), "%"),
    Target("share on Starlette", "every mode ≥ 97 % of the same server bare", 0.97, _modes("starlette"), "%"),
    Target("share on FastAPI", "≥ 97 % of the same route with an idle dependency", 0.97, _modes("fastapi"), "%"),
    Target("share on Litestar", "≥ 97 % of the same route with an idle dependency", 0.97, _modes("litestar"), "%"),
    Target(
        "Express sessions", "≥ 6 times Express + express-session + connect-redis", 6.0,
        [Times("coatcheck-asgi-session", "express-session")], "x",
    ),
    Target(
        "Express JWT, key object", "≥ 3.5 times Express + jsonwebtoken with a key object", 3.5,
        [Times("coatcheck-asgi-jwt", "express-jwt-key-object")], "x",
    ),
    Target(
        "Express JWT, string secret", "≥ 10 times Express + jsonwebtoken with the string secret", 10.0,
        [Times("coatcheck-asgi-jwt", "express-jwt-string")], "x",
    ),
    Target(
        "Fastify JWT", "ahead of Fastify + @fastify/jwt on raw ASGI", 1.0,
        [Times("coatcheck-asgi-jwt", "fastify-jwt"), Times("coatcheck-asgi-jwt", "fastify-jwt-cache")], "x",
    ),
    Target(
        "Starlette + PyJWT", "≥ 3 times Starlette + PyJWT", 3.0,
        [Times("coatcheck-starlette-jwt", "starlette-pyjwt-*")], "x",
    ),
    Target(
        "Starlette + starsessions", "≥ 3 times Starlette + starsessions", 3.0,
        [Times("coatcheck-starlette-session", "starsessions")], "x",
    ),
    Target(
        "fastapi-users", "≥ 5 times fastapi-users on FastAPI", 5.0,
        [
            Times("coatcheck-fastapi-session", "fastapi-users-session*"),
            Times("coatcheck-fastapi-jwt", "fastapi-users-jwt*"),
        ], "x",
    ),
    Target(
        "crudauth", "≥ 5 times crudauth on FastAPI", 5.0,
        [Times("coatcheck-fastapi-session", "crudauth-session*"), Times("coatcheck-fastapi-jwt", "crudauth-jwt*")], "x",
    ),
    Target("a hit", "≤ 1/100 of PyJWT's HS256 decode", 1 / 100, [_hit("hit_share")], "1/", at_least=False),
    Target(
        "the whole middleware", "adds ≤ 1/12 of PyJWT's HS256 decode", 1 / 12, [_hit("middleware_share")], "1/",
        at_least=False,
    ),
    Target(
        "first sight, asymmetric", "within 1.5 times the bare primitive for RS256, ES256 and Ed25519", 1.5,
        [_first_sight("primitive", ("RS256", "ES256", "EdDSA"))], "x", at_least=False,
    ),
    Target(
        "first sight, HS256", "≤ 1/5 of PyJWT's decode", 1 / 5, [_first_sight("pyjwt", ("HS256",))], "1/",
        at_least=False,
    ),
    Target(
        "cost against size", "flat from 1,000 to 1,000,000 live sessions in each store", 1.5,
        [Found("size", _size)], "x", at_least=False,
    ),
    Target(
        "logins beside requests", "p99 of authenticated requests grows by at most 20 %", 1.2,
        [Found("tail", _tail)], "x", at_least=False,
    ),
)  # fmt: skip
