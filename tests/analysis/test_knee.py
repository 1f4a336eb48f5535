"""Where a curve bends and how it ended; no worker, no clock."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_cell, make_record
from weighbridge.bench.analysis import knee, ratios
from weighbridge.bench.core.cell import Status
from weighbridge.bench.core.record import Record
from weighbridge.bench.run import planners

RATES = st.dictionaries(st.integers(0, 12).map(lambda power: 1 << power), st.floats(1e-3, 1e9), min_size=1)


@given(RATES)
def test_a_knee_is_good_enough_and_nothing_smaller_is(rates: dict[int, float]) -> None:
    found = knee.knee(rates)
    assert found is not None
    assert rates[found] >= knee.ENOUGH * max(rates.values())
    assert all(rate < knee.ENOUGH * max(rates.values()) for size, rate in rates.items() if size < found)


@given(RATES, st.floats(1e-3, 1e3))
def test_a_knee_does_not_hang_on_the_unit(rates: dict[int, float], factor: float) -> None:
    top = max(rates.values())
    if all(abs(rate / top - knee.ENOUGH) > 1e-9 for rate in rates.values()):
        assert knee.knee({size: rate * factor for size, rate in rates.items()}) == knee.knee(rates)


@given(RATES)
def test_a_knee_is_never_past_the_best(rates: dict[int, float]) -> None:
    found, best = knee.knee(rates), knee.best(rates)
    assert found is not None
    assert best is not None
    assert found <= best


def test_without_a_figure_there_is_neither() -> None:
    assert (knee.knee({}), knee.best({})) == (None, None)


@given(st.integers(1, 10**6))
def test_sizes_double_from_1_and_stop_at_most(most: int) -> None:
    sizes = planners.doubled(most)
    assert sizes[0] == 1
    assert sizes[-1] <= most < 2 * sizes[-1]
    assert all(after == 2 * before for before, after in pairwise(sizes))


def swept(status: Status, steps: dict[int, float], failed_at: int | None = None) -> list[Record]:
    """Seconds a step at each batch size, and the record at which the sweep ended."""
    records = [
        make_record(step_s=step_s, cell=make_cell(batch_size=size), items_per_step=size, queued_step_s=[step_s] * 3)
        for size, step_s in steps.items()
    ]
    failed = [Record(cell=make_cell(batch_size=failed_at), status=status, reason="it was full")] if failed_at else []
    return records + failed


@pytest.mark.parametrize(
    ("status", "failed_at", "end"),
    [
        ("oom", 8, "oom at 8"),
        ("timeout", 8, "time limit at 8"),
        ("crashed", 8, "crashed at 8"),
        ("parity_failed", 8, "parity failed at 8"),
        ("ok", None, "--most 6"),
    ],
)
def test_a_curve_names_its_knee_its_best_and_its_end(status: Status, failed_at: int | None, end: str) -> None:
    records = swept(status, {1: 0.010, 2: 0.0105, 4: 0.020}, failed_at)
    (found,) = knee.curves(ratios.rows(reversed(records), "fake"), most=6)
    assert found.rates == pytest.approx({1: 100.0, 2: 190.476, 4: 200.0}, rel=1e-4)
    assert (found.knee, found.best, found.end) == (2, 4, end)
    assert found.reason == ("it was full" if failed_at else "")


def test_a_sweep_that_was_cut_short_says_so() -> None:
    (found,) = knee.curves(ratios.rows(swept("ok", {1: 0.01, 2: 0.01}), "fake"), most=8)
    assert found.end == "not finished"


def test_what_failed_parity_is_no_point_of_the_curve() -> None:
    records = [make_record(cell=make_cell(batch_size=1), status="parity_failed", parity=None)]
    (found,) = knee.curves(ratios.rows(records, "fake"), most=1)
    assert (found.rates, found.knee) == ({}, None)


def test_backends_have_a_curve_each() -> None:
    records = [make_record(backend, cell=make_cell(backend, batch_size=n)) for n in (1, 2) for backend in ("a", "b")]
    found = knee.curves(ratios.rows(records, "a"), most=2)
    assert [(each.first.backend, len(each.rows)) for each in found] == [("a", 2), ("b", 2)]
