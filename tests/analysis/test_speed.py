"""What the ratio to the reference, which took turns with a cell, adds to the word on its step, and takes from it."""

from __future__ import annotations

import pytest

from tests.conftest import make_thrice as make_record
from tests.conftest import run_of
from weighbridge.bench.analysis import gate
from weighbridge.bench.analysis.gate import Change, Thresholds
from weighbridge.bench.core.record import Noise
from weighbridge.bench.report import changes


def pair_of_runs(reference: float, other: float, **changes_: object) -> list[Change]:
    """The reference and another, 10 ms and 8 ms before, so many times slower after; the other's change comes last."""
    before = run_of(make_record("ref", 0.01), make_record("other", 0.008, **changes_))
    after = run_of(make_record("ref", 0.01 * reference), make_record("other", 0.008 * other, **changes_))
    outcome = gate.judge(before, after, Thresholds(), reference="ref")
    return sorted(outcome.changes, key=lambda each: each.cell.backend != "ref")


@pytest.mark.parametrize(
    ("reference", "other", "kinds"),
    [
        (1.0, 1.2, ["UNCHANGED", "REGRESSION"]),
        (1.2, 1.2, ["REGRESSION", "UNSURE"]),
        (1.2, 1.0, ["REGRESSION", "UNCHANGED"]),
        (1.2, 1.4, ["REGRESSION", "REGRESSION"]),
        (1.03, 1.08, ["UNCHANGED", "REGRESSION"]),
        (0.8, 0.8, ["IMPROVED", "UNSURE"]),
        (0.8, 1.2, ["IMPROVED", "REGRESSION"]),
    ],
)
def test_a_cell_is_excused_where_the_reference_moved_by_as_much(
    reference: float, other: float, kinds: list[str]
) -> None:
    found = pair_of_runs(reference, other)
    assert [each.kind for each in found] == kinds
    for each in found:
        assert ("the machine, or what both share" in each.unsure) is (each.kind == "UNSURE")


def test_nobody_excuses_the_reference_since_what_it_stands_on_may_slow_every_cell() -> None:
    before = run_of(*(make_record(name) for name in ("ref", "a", "b", "c")))
    after = run_of(*(make_record(name, 0.012) for name in ("ref", "a", "b", "c")))
    assert gate.judge(before, after, Thresholds(), reference="ref").failed


MOODY = Noise(between_runs=0.25, ratio_spread=0.01)
"""A machine whose whole runs differ by a quarter, and hardly in their ratios."""


@pytest.mark.parametrize(
    ("reference", "other", "kind"),
    [
        (1.0, 1.1, "REGRESSION"),
        (1.08, 1.19, "REGRESSION"),
        (1.0, 0.9, "IMPROVED"),
        (1.0, 1.04, "UNCHANGED"),
        (1.2, 1.2, "UNCHANGED"),
    ],
)
def test_what_the_machines_mood_hides_is_found_by_the_ratio_and_put_down_to_who_moved_further(
    reference: float, other: float, kind: str
) -> None:
    of_reference, found = pair_of_runs(reference, other, noise=MOODY)
    assert found.kind == kind
    assert (found.against == "ref") is (kind != "UNCHANGED")
    assert of_reference.against == ""
    if kind == "REGRESSION":
        assert changes.what(found)[0].endswith("slower against ref, which took turns with it")
        assert found.limit == 0.05


@pytest.mark.parametrize(
    ("after_s", "kinds"),
    [
        ({"ref": 1.1, "a": 1.0, "b": 1.0}, {"ref": "REGRESSION", "a": "UNCHANGED", "b": "UNCHANGED"}),
        ({"ref": 1.0, "a": 1.1, "b": 1.0}, {"ref": "UNCHANGED", "a": "REGRESSION", "b": "UNCHANGED"}),
        ({"ref": 1.1, "a": 1.1, "b": 1.0}, {"ref": "UNCHANGED", "a": "UNCHANGED", "b": "UNCHANGED"}),
    ],
)
def test_of_the_reference_the_ratios_to_all_others_must_agree(after_s: dict[str, float], kinds: dict[str, str]) -> None:
    before, after = (
        run_of(*(make_record(name, 0.01 * slower.get(name, 1.0), noise=MOODY) for name in after_s))
        for slower in ({}, after_s)
    )
    outcome = gate.judge(before, after, Thresholds(), reference="ref")
    assert {each.cell.backend: each.kind for each in outcome.changes} == kinds


@pytest.mark.parametrize(
    "changes_",
    [
        {"noise": Noise(between_runs=0.25)},
        {"noise": Noise(between_runs=0.25, ratio_spread=0.04)},
        {"noise": MOODY, "pairing": "sequential"},
        {"noise": MOODY, "started": "2026-11-22T01:00:00+00:00"},
    ],
)
def test_the_ratio_decides_only_beyond_a_measured_spread_and_of_cells_that_took_turns(
    changes_: dict[str, object],
) -> None:
    assert pair_of_runs(1.0, 1.1, **changes_)[1].kind == "UNCHANGED"


@pytest.mark.parametrize("changes_", [{"pairing": "sequential"}, {"started": "2026-11-22T01:00:00+00:00"}])
def test_cells_that_took_no_turns_with_the_reference_are_not_excused(changes_: dict[str, object]) -> None:
    assert pair_of_runs(1.2, 1.2, **changes_)[1].kind == "REGRESSION"
