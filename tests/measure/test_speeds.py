"""Steps of one speed and of two."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.bench.core.process import Process
from weighbridge.bench.measure.speeds import APART, Speeds, covering, speeds
from weighbridge.bench.measure.statistics import Interval


def process(steps: list[float], blocks: list[int]) -> Process:
    return Process(step_s=steps, blocks=blocks)


times = st.floats(1e-6, 1e3)


def mixed(slow: float, share: float, steps: int = 100, seed: int = 0) -> list[float]:
    """Steps of 30 µs, of which a share takes longer."""
    rng = random.Random(seed)
    late = set(rng.sample(range(steps), int(share * steps)))
    return [(slow if at in late else 30e-6) * rng.uniform(0.99, 1.01) for at in range(steps)]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_median_that_tips_is_known_by_what_lies_on_either_side(share: float) -> None:
    found = speeds([process(mixed(80e-6, share, seed=seed), [50, 50]) for seed in range(3)])
    assert found is not None
    assert found.fast == pytest.approx(30e-6, rel=0.02)
    assert found.slow == pytest.approx(80e-6, rel=0.02)


@pytest.mark.parametrize(("slow", "share"), [(80e-6, 0.05), (80e-6, 0.95), (45e-6, 0.5)])
def test_few_stragglers_and_a_wide_noise_are_one_speed(slow: float, share: float) -> None:
    assert speeds([process(mixed(slow, share), [50, 50])] * 3) is None


def test_blocks_that_are_too_short_show_no_tenths() -> None:
    steps = mixed(80e-6, 0.5, 40)
    assert speeds([process(steps, [10] * 4)]) is None
    assert speeds([process(steps, [20] * 2)]) is not None


def test_what_changes_between_blocks_and_not_inside_of_them_is_left_to_the_interval() -> None:
    assert speeds([process([30e-6] * 20 + [80e-6] * 20, [20, 20])] * 3) is None


def test_nothing_timed_has_no_speed() -> None:
    assert speeds([]) is None
    assert speeds([process([], [])]) is None


@given(times, st.floats(1, 10), times, st.floats(1, 10), st.floats(1e-3, 1e3), st.floats(1, 2))
def test_the_interval_holds_itself_and_both_ratios(
    over: float, over_apart: float, under: float, under_apart: float, value: float, width: float
) -> None:
    before = Interval(value, value / width, value * width)
    found = covering(before, Speeds(over, over * over_apart), Speeds(under, under * under_apart))
    inside = (before.low, before.high, over / under, over * over_apart / (under * under_apart))
    assert found.value == value
    assert (found.low, found.high) == (min(inside), max(inside))


def test_the_limit_is_reached_not_passed() -> None:
    assert speeds([process([1.0] * 10 + [APART] * 10, [20])]) is not None
    assert speeds([process([1.0] * 10 + [APART * 0.999] * 10, [20])]) is None
