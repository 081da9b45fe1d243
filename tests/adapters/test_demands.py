"""What a route may demand, and of whom it is met."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck import Identity, Mode
from coatcheck.adapters.demands import LOGGED_IN, Demand, fresh, requires
from coatcheck.clock import Clock
from coatcheck.errors import CoatcheckError, Forbidden, LoginTooOld, NotLoggedIn

NOW = 1_800_000_000.0
NAMES = st.sampled_from(["admin", "editor", "Admin", "admin ", "authenticated"])


def clock_at(now: float) -> Clock:
    return Clock(monotonic=lambda: 0.0, wall=lambda: now)


def identity(roles: set[str] | frozenset[str] = frozenset(), auth_time: float = NOW) -> Identity:
    return Identity(
        subject="ann", session_id="s", roles=frozenset(roles), claims={}, auth_time=auth_time, amr=("pwd",),
        mode=Mode.SESSION,
    )  # fmt: skip


@pytest.mark.parametrize("demand", [LOGGED_IN, requires("admin"), fresh(minutes=5)])
def test_nobody(demand: Demand) -> None:
    """Every demand is one for somebody, and says so before anything else."""
    with pytest.raises(NotLoggedIn):
        demand.check(None, clock_at(NOW))


def test_somebody() -> None:
    """Whoever meets a demand is what it gives."""
    ann = identity({"admin"}, NOW - 300)
    for demand in (LOGGED_IN, requires("admin"), fresh(minutes=5), Demand(roles=("admin",), max_age=300)):
        assert demand.check(ann, clock_at(NOW)) is ann


@given(st.lists(NAMES, min_size=1), st.sets(NAMES))
def test_all_roles(asked: list[str], has: set[str]) -> None:
    """All the roles named, exactly as they are spelt; any other does not help."""
    if set(asked) <= has:
        assert requires(*asked).check(identity(has), clock_at(NOW)).roles == has
    else:
        with pytest.raises(Forbidden, match="role"):
            requires(*asked).check(identity(has), clock_at(NOW))


@given(st.floats(0.01, 1e5), st.floats(0, 1e7))
def test_age(minutes: float, age: float) -> None:
    """A login of exactly the age is fresh, an older one is not, and the error says what would do."""
    ann, clock = identity(auth_time=NOW - age), clock_at(NOW)
    if NOW - ann.auth_time <= minutes * 60:
        assert fresh(minutes=minutes).check(ann, clock) is ann
    else:
        with pytest.raises(LoginTooOld) as refused:
            fresh(minutes=minutes).check(ann, clock)
        assert refused.value.max_age == minutes * 60


def test_the_clock_is_the_stores() -> None:
    """Freshness counts by the store's time, however wrong this machine's is."""
    clock = Clock(monotonic=lambda: 0.0, wall=lambda: NOW + 86_400)
    clock.follow(NOW, 0.0, 0.0)
    assert fresh(minutes=1).check(identity(), clock).subject == "ann"


def test_role_before_age() -> None:
    """Whoever lacks the role is not sent to prove again who they are, which would not help."""
    with pytest.raises(Forbidden) as refused:
        Demand(roles=("admin",), max_age=60).check(identity(auth_time=0.0), clock_at(NOW))
    assert not isinstance(refused.value, LoginTooOld)


@pytest.mark.parametrize("roles", [(), ("",), ("admin", "")])
def test_a_demand_for_nothing(roles: tuple[str, ...]) -> None:
    """It is refused when it is made: a route with a role forgotten must not be one for everybody."""
    with pytest.raises(ValueError, match="role"):
        requires(*roles)


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_no_age(minutes: float) -> None:
    """A login cannot be fresh for no time, nor for ever."""
    with pytest.raises(ValueError, match="positive"):
        fresh(minutes=minutes)


@pytest.mark.parametrize("minutes", ["5", True, None, timedelta(minutes=5)])
def test_an_age_is_a_number(minutes: Any) -> None:
    """A text would be taken sixty times, and True for a minute; the error says what to write."""
    with pytest.raises(TypeError, match=r"fresh\(minutes=5\)"):
        fresh(minutes=minutes)


@pytest.mark.parametrize("roles", [["admin"], {"admin"}, 7, None])
def test_roles_are_texts(roles: Any) -> None:
    """``requires(["admin"])`` is a mistake that shows at once, not at the first request."""
    with pytest.raises(TypeError, match="texts"):
        requires(roles)


def test_equal_demands() -> None:
    """Demands are values: the same words make the same one."""
    assert requires("admin") == requires("admin")
    assert len({requires("admin"), requires("admin"), requires("editor"), fresh(minutes=1), fresh(minutes=1.0)}) == 3


@pytest.mark.parametrize("demand", [requires("admin"), fresh(minutes=5)])
def test_refusals_are_errors_of_ours(demand: Demand) -> None:
    """So adapters answer all of them in one place."""
    with pytest.raises(CoatcheckError):
        demand.check(identity(auth_time=0.0), clock_at(NOW))
