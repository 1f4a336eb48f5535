"""What fails a build, and what does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import gate, stats, store, summary
from bench.core import WeighbridgeError
from bench.gate import Change, Thresholds
from bench.record import Noise, Parity, Record
from bench.report import changes
from bench.summary import Run, Summary
from tests.conftest import ABOUT, make_cell, make_record

LOST = Parity(ratio=9.0, limit=2.0, passed=False)


def brief(record: Record) -> Summary:
    found = summary.parse(store.encoder.encode(record))
    assert found is not None
    return found


def run_of(*records: Record) -> Run:
    return Run(path=Path("run"), cells={record.cell: brief(record) for record in records}, unreadable=0)


def change(before: Record | None, after: Record | None, **limits: float) -> Change:
    sides = [brief(record) if record else None for record in (before, after)]
    return gate.change(make_cell(), *sides, Thresholds(**limits))  # type: ignore[arg-type]


def steps(step_s: float, spread: float, seed: int = 0) -> list[float]:
    return (step_s * np.exp(np.random.default_rng(seed).normal(0, spread, 30))).tolist()


@pytest.mark.parametrize(
    ("after_s", "spread", "kind", "verdict"),
    [
        (0.010, 0.005, "UNCHANGED", "SAME"),
        (0.012, 0.005, "REGRESSION", "SLOWER"),
        (0.008, 0.005, "IMPROVED", "FASTER"),
        (0.012, 0.5, "UNSURE", "UNSURE"),
        (0.0104, 0.005, "UNCHANGED", "SAME"),
    ],
)
def test_speed(after_s: float, spread: float, kind: str, verdict: str) -> None:
    found = change(make_record(step_s=steps(0.01, spread)), make_record(step_s=steps(after_s, spread, seed=1)))
    assert (found.kind, found.verdict) == (kind, verdict)
    assert found.speed is not None
    assert found.speed.low <= 0.01 / after_s * 1.01


def test_the_noise_floor_of_either_side_widens_the_threshold() -> None:
    slow = make_record(step_s=0.012, noise=Noise(floor=0.3))
    assert change(make_record(), slow).kind == "UNCHANGED"
    assert change(slow, make_record()).kind == "UNCHANGED"


def test_a_threshold_can_be_chosen() -> None:
    before, after = make_record(step_s=0.01), make_record(step_s=0.012)
    assert change(before, after).worse == ["speed"]
    assert change(before, after, speed=0.25).worse == []


@pytest.mark.parametrize(
    ("changes_", "worse"),
    [
        ({"host_peak_bytes": 111 * 2**20}, ["host memory"]),
        ({"host_peak_bytes": 109 * 2**20}, []),
        ({"host_peak_bytes": None}, []),
        ({"device_peak_bytes": 2**30}, []),
        ({"score": {"r2": 0.494}}, ["score"]),
        ({"score": {"r2": 0.496}}, []),
        ({"score": {"r2": None}}, ["score"]),
        ({"score": {"r2": float("nan")}}, ["score"]),
        ({"score": {}}, ["score"]),
        ({"parity": LOST}, ["parity"]),
        ({"parity": None}, ["parity"]),
        ({"status": "parity_failed", "parity": LOST}, ["status", "parity"]),
        ({"status": "crashed", "parity": None, "step_s": []}, ["status"]),
        ({"status": "oom", "step_s": []}, ["status"]),
        ({"status": "timeout", "step_s": []}, ["status"]),
    ],
)
def test_fatter_and_wrong(changes_: dict[str, object], worse: list[str]) -> None:
    found = change(make_record(), make_record(**changes_))  # type: ignore[arg-type]
    assert found.worse == worse
    assert (found.kind == "REGRESSION") == bool(worse)


def test_device_memory_is_a_figure_of_its_own() -> None:
    assert change(make_record(device_peak_bytes=100), make_record(device_peak_bytes=112)).worse == ["device memory"]


def test_a_score_of_which_less_is_better() -> None:
    target = type(ABOUT.target)(metric="r2", value=0.5, higher_is_better=False, source="tests")
    about = type(ABOUT)(source="", licence="", weights="trained", item="row", target=target, baseline=target)
    before = make_record(about=about, score={"r2": 1.0})
    assert change(before, make_record(about=about, score={"r2": 1.02})).worse == ["score"]
    assert change(before, make_record(about=about, score={"r2": 0.9})).better == ["score"]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("crashed", "crashed", "UNCHANGED"),
        ("crashed", "ok", "IMPROVED"),
        ("ok", "skipped", "MISSING"),
        ("skipped", "ok", "NEW"),
        ("skipped", "skipped", "UNCHANGED"),
        ("ok", None, "MISSING"),
        (None, "ok", "NEW"),
        (None, "crashed", "NEW"),
    ],
)
def test_statuses(before: str | None, after: str | None, kind: str) -> None:
    sides = [make_record(status=status, parity=None) if status else None for status in (before, after)]
    assert change(*sides).kind == kind


def test_unequal_footing_has_no_verdict_and_says_in_what() -> None:
    facts = {**make_record().facts, "threads": 1}
    found = change(make_record(), make_record(step_s=0.02, facts=facts))
    assert (found.kind, found.verdict, found.speed) == ("INCOMPARABLE", None, None)
    assert found.incomparable == "threads 1 against 2"
    other_weights = {**make_record().facts, "weights_hash": "retrained"}
    assert change(make_record(), make_record(facts=other_weights)).verdict == "SAME"


def test_times_that_are_lost_are_no_improvement() -> None:
    found = change(make_record(), make_record(step_s=[0.0] * 10))
    assert (found.kind, found.incomparable) == ("INCOMPARABLE", "no usable times after")


def test_require_all_fails_what_is_missing_and_nothing_else_does() -> None:
    before = run_of(make_record("a"), make_record("b"))
    after = run_of(make_record("a"))
    assert not gate.judge(before, after, Thresholds()).failed
    assert gate.judge(before, after, Thresholds(require_all=True)).failed
    assert not gate.judge(before, before, Thresholds(require_all=True)).failed


def test_runs_that_share_no_cell_guard_nothing() -> None:
    with pytest.raises(WeighbridgeError, match="no cell in common"):
        gate.judge(run_of(make_record("a")), run_of(make_record("b")), Thresholds())


def test_another_machine_and_single_processes_are_warned_of() -> None:
    before, after = (run_of(make_record(environment={"machine": name})) for name in ("a", "b"))
    machines, processes = gate.warnings(before, after)
    assert "measured on a, after on b" in machines
    assert "--tier standard" in processes


blocks_s = st.lists(st.floats(0.9, 1.3), min_size=5, max_size=8)
processes_s = st.lists(blocks_s, min_size=1, max_size=3)


@given(processes_s, processes_s)
def test_what_the_extremes_decide_the_bootstrap_confirms(before: list[list[float]], after: list[list[float]]) -> None:
    was, now = (
        brief(make_record(step_s=[s for p in each for s in p], blocks=[[1] * len(p) for p in each]))
        for each in (before, after)
    )
    exact = stats.verdict(gate.speed(was, now), 0.1, stats.FEWEST_BLOCKS)
    assert gate.speed_verdict(was, now, 0.1) == exact


@pytest.mark.parametrize("name", ["<img src=x>|`a`\n# b", "[x](javascript:1)", "a|b"])
def test_hostile_names_stay_inert_in_markdown(name: str) -> None:
    record = make_record(cell=make_cell(name))
    worse = make_record(cell=make_cell(name), status="crashed", reason=f"{name}\n| x |")
    text = changes.markdown(gate.judge(run_of(record), run_of(worse), Thresholds()))
    (line,) = (line for line in text.splitlines() if "REGRESSION" in line)
    assert line.replace("\\|", "").count("|") == len(changes.HEADINGS) + 1
    assert "<img" not in text.replace("\\<", "")
    assert "[x]" not in text


def test_regressions_come_first_and_the_rest_is_counted() -> None:
    names = [f"b{index}" for index in range(60)]
    before = run_of(*(make_record(name) for name in names), make_record("slow"))
    after = run_of(*(make_record(name, noise=Noise(floor=0.001)) for name in names[:50]), make_record("slow", 0.02))
    outcome = gate.judge(before, after, Thresholds())
    rows, more = changes.shown(outcome, 5)
    assert [row[0] for row in rows] == ["REGRESSION"] + ["MISSING"] * 4
    assert more == 6
    assert changes.headline(outcome) == "1 regression: 10 missing, 50 unchanged."
