"""Calls that repay a compilation: a range, or the word why there is none."""

import msgspec
import pytest

from tests.conftest import make_record
from weighbridge.bench.analysis import ratios
from weighbridge.bench.analysis.breakeven import AT_ONCE, NEVER, UNKNOWN, BreakEven, break_even
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.measure.statistics import Interval


def ratio_of(ours_s: float = 0.01, **changes: object) -> Row:
    return ratios.rows([make_record("torch", 0.02), make_record("flax", ours_s, **changes)], "torch")[1]


@pytest.mark.parametrize(
    ("ours_s", "compile_s", "calls"),
    [
        (0.01, 10.5, BreakEven(value=1000.0, low=1000.0, high=1000.0)),
        (0.03, 10.5, NEVER),
        (0.01, 0.1, AT_ONCE),
        (0.02, 0.1, AT_ONCE),
        (0.02, 10.5, UNKNOWN),
        (0.01, None, None),
    ],
)
def test_break_even(ours_s: float, compile_s: float | None, calls: BreakEven | None) -> None:
    found = ratio_of(ours_s=ours_s, compile_s=compile_s).break_even_calls
    assert found == (msgspec.structs.replace(calls, **approximately(calls)) if calls else None)


def approximately(calls: BreakEven) -> dict[str, object]:
    ends = {name: getattr(calls, name) for name in ("value", "low", "high")}
    return {name: pytest.approx(value) for name, value in ends.items() if value}


def test_warm_break_even_is_to_the_first_step_of_what_keeps_no_cache() -> None:
    found = ratio_of(compile_s=10.5, warm_compile_s=1.5).warm_break_even_calls
    assert found
    assert found.value == pytest.approx(100.0)
    assert ratio_of(compile_s=10.5).warm_break_even_calls is None


def test_break_even_is_a_range_by_the_ends_of_the_interval() -> None:
    found = break_even(10.0, 0.02, Interval(2.0, 1.25, 4.0), "FASTER")
    assert found == BreakEven(value=pytest.approx(1000.0), low=pytest.approx(10 / 0.015), high=pytest.approx(2500.0))


@pytest.mark.parametrize("extra_s", [-1.0, 10.0])
def test_break_even_is_unknown_where_it_is_not_shown_that_a_call_saves_anything(extra_s: float) -> None:
    assert break_even(extra_s, 0.02, Interval(1.1, 0.98, 1.3), "UNSURE") == UNKNOWN
