import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ABOUT, TARGET, make_cell, make_record
from weighbridge.bench.analysis import footing, ratios
from weighbridge.bench.analysis.own import own
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.record import Noise, Parity, Provenance
from weighbridge.bench.measure import sides


def ratio_of(reference_s: float = 0.02, ours_s: float | list[float] = 0.01, **changes: object) -> Row:
    records = [make_record("torch", reference_s), make_record("flax", ours_s, **changes)]
    return ratios.rows(records, "torch")[1]


def test_twice_as_fast_is_two() -> None:
    assert ratio_of().ratio == pytest.approx(2.0)
    assert not ratio_of().no_ratio


def test_the_reference_is_one() -> None:
    assert ratios.rows([make_record("torch")], "torch")[0].ratio == 1.0


@pytest.mark.parametrize("fact", ["weights_hash", "batch_hash", "threads"])
def test_unequal_footing_gets_no_ratio_and_says_in_what(fact: str) -> None:
    facts = {**make_record().facts, fact: "other"}
    row = ratio_of(facts=facts)
    assert row.ratio is None
    assert row.no_ratio.startswith(f"{fact} other against")


def test_a_backend_that_does_not_tell_on_which_device_it_ran_gets_no_ratio() -> None:
    facts = make_record().facts
    assert ratio_of(facts={**facts, "ran_on": None}).no_ratio == "ran_on (not stated) against (not stated)"
    assert ratio_of(facts={**facts, "ran_on": "cpu"}).ratio is not None
    assert ratio_of(facts=facts).ratio is not None, "a record of before that was asked for is read as it was"


def test_a_failure_gets_no_ratio_and_keeps_its_reason() -> None:
    row = ratio_of(status="timeout", reason="over the time limit")
    assert (row.ratio, row.step_s, row.no_ratio) == (None, None, "over the time limit")


def test_no_reference_beside_it_gives_no_ratio() -> None:
    assert "no reference" in ratios.rows([make_record("flax")], "torch")[0].no_ratio
    other_group = [make_record("torch", cell=make_cell("torch", batch_size=1)), make_record("flax")]
    assert ratios.rows(other_group, "torch")[1].ratio is None


def test_a_score_under_the_gate_gets_no_ratio() -> None:
    row = ratio_of(score={"r2": 0.49})
    assert not row.gate_passed
    assert row.ratio is None
    assert ratio_of(score={"r2": 0.496}).gate_passed


def test_the_gate_turns_around_where_lower_is_better() -> None:
    lower = msgspec.structs.replace(TARGET, higher_is_better=False)
    assert footing.reaches(1.005, 1.0, lower)
    assert not footing.reaches(1.02, 1.0, lower)
    assert footing.reaches(0.5, 1.0, lower)


@given(st.floats(-10, 10))
def test_a_score_always_reaches_itself(score: float) -> None:
    assert footing.reaches(score, score, TARGET)


def test_random_weights_have_no_score() -> None:
    seeded: Provenance = msgspec.structs.replace(ABOUT, weights="seeded")
    assert sides.main_score(make_record(about=seeded)) is None


def test_time_per_token_leaves_out_the_first() -> None:
    cell = make_cell(scenario="generate", batch_size=2)
    record = make_record(cell=cell, step_s=0.5, items_per_step=2 * 5, first_token_s=[0.1])
    found = own(sides.side(record))
    assert found.first_token_s == pytest.approx(0.1)
    assert found.token_s == pytest.approx(0.4 / 4)


def noisy(step_s: float, spread: float, count: int = 40, seed: int = 0) -> list[float]:
    return (step_s * np.exp(np.random.default_rng(seed).normal(0, spread, count))).tolist()


def test_paired_blocks_cancel_what_both_felt() -> None:
    weather = noisy(1.0, 0.3)
    row = against([0.02 * x for x in weather], [0.01 * x for x in weather])
    assert row.ratio == pytest.approx(2.0)
    assert row.interval is not None
    assert row.interval.relative_error < 1e-9
    assert (row.verdict, row.pairing) == ("FASTER", "interleaved")


def against(reference: list[float], ours: list[float], **changes: object) -> Row:
    records = [make_record("torch", step_s=reference, **same(changes)), make_record("flax", step_s=ours, **changes)]
    return ratios.rows(records, "torch")[1]


def same(changes: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in changes.items() if name in ("pairing", "noise", "blocks", "crowded")}


@pytest.mark.parametrize(
    ("ours_s", "spread", "verdict"),
    [(0.0095, 0.001, "FASTER"), (0.0105, 0.001, "SLOWER"), (0.01, 0.001, "SAME"), (0.0103, 0.2, "UNSURE")],
)
def test_one_word(ours_s: float, spread: float, verdict: str) -> None:
    assert against(noisy(0.01, spread), noisy(ours_s, spread, seed=1)).verdict == verdict


def test_the_reference_has_no_verdict() -> None:
    row = ratios.rows([make_record("torch")], "torch")[0]
    assert (row.ratio, row.verdict, row.interval) == (1.0, None, None)


def test_the_larger_floor_of_both_records_counts() -> None:
    noise = Noise(floor=0.5)
    row = against(noisy(0.012, 0.001), noisy(0.01, 0.001), noise=noise)
    assert (row.verdict, row.floor) == ("SAME", 0.5)
    assert against(noisy(0.012, 0.001), noisy(0.01, 0.001)).verdict == "FASTER"


@pytest.mark.parametrize(("reference_s", "verdict"), [(0.0115, "SAME"), (0.01, "SAME"), (0.013, "FASTER")])
def test_what_was_timed_one_after_another_needs_more_than_that_differs_by(reference_s: float, verdict: str) -> None:
    row = against(noisy(reference_s, 0.001), noisy(0.01, 0.001), pairing="sequential")
    assert (row.verdict, row.pairing) == (verdict, "sequential")


@pytest.mark.parametrize("pairing", ["interleaved", "sequential"])
@pytest.mark.parametrize(
    ("processes", "verdict", "lean"), [(1, "UNSURE", "FASTER"), (2, "UNSURE", "FASTER"), (3, "FASTER", "")]
)
def test_fewer_than_three_processes_only_lean(pairing: str, processes: int, verdict: str, lean: str) -> None:
    blocks = [[1] * 12] * processes
    steps = [noisy(step_s, 0.001, 12 * processes) for step_s in (0.02, 0.01)]
    row = against(*steps, pairing=pairing, blocks=blocks)
    assert (row.verdict, row.lean, row.processes) == (verdict, lean, processes)


def test_an_interval_is_no_narrower_than_whole_runs_differ() -> None:
    steps = noisy(0.0108, 0.001), noisy(0.01, 0.001)
    assert against(*steps).verdict == "FASTER"
    row = against(*steps, noise=Noise(ratio_spread=0.05))
    assert row.verdict == "UNSURE"
    assert row.interval is not None
    assert row.interval.high / row.interval.low == pytest.approx(math.exp(2 * 1.96 * 0.05))


def test_crowded_turns_do_not_stand_in_while_one_quiet_turn_is_left() -> None:
    ours = [0.01, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05]
    crowded = [[False, True, True], [True] * 3, [True] * 3]
    row = against([0.02] * 9, ours, blocks=[[1] * 3] * 3, crowded=crowded)
    assert (row.ratio, row.verdict) == (pytest.approx(2.0), "UNSURE")


def test_turns_beside_a_busy_neighbour_count_for_no_verdict() -> None:
    theirs, ours = [0.02] * 12, [0.01, 0.01, 0.01, 0.05] * 3
    crowded = [[False, False, False, True]] * 3
    marked = against(theirs, ours, blocks=[[1] * 4] * 3, crowded=crowded)
    assert (marked.ratio, marked.verdict) == (pytest.approx(2.0), "FASTER")
    everywhere = against(theirs, ours, blocks=[[1] * 4] * 3, crowded=[[True] * 4] * 3)
    assert (everywhere.verdict, everywhere.ratio) == ("UNSURE", pytest.approx(2.0))


@pytest.mark.parametrize("pairing", ["interleaved", "sequential"])
@pytest.mark.parametrize(
    ("ours", "low", "verdict"),
    [([0.002] * 16 + [0.009] * 4, 6 / 9, "UNSURE"), ([0.002] * 16 + [0.004] * 4, 6 / 4, "FASTER")],
)
def test_steps_of_two_speeds_have_a_verdict_where_fast_and_slow_ones_agree(
    ours: list[float], low: float, verdict: str, pairing: str
) -> None:
    row = against([0.006] * 300, ours * 15, blocks=[[20] * 5] * 3, pairing=pairing)
    assert (row.ratio, row.verdict) == (pytest.approx(3.0), verdict)
    assert row.interval is not None
    assert (row.interval.low, row.interval.high) == (pytest.approx(low), pytest.approx(3.0))
    assert row.speeds == pytest.approx((0.002, max(ours)))


def test_steps_of_one_speed_say_nothing_of_two() -> None:
    assert against([0.006] * 300, [0.002] * 300, blocks=[[20] * 5] * 3).speeds is None


def test_too_few_blocks_have_a_ratio_and_no_interval() -> None:
    row = against([0.02] * 40, [0.01] * 40, blocks=[[10] * 4])
    assert (row.ratio, row.interval, row.verdict) == (2.0, None, "UNSURE")


@pytest.mark.parametrize("parity", [None, Parity(ratio=9.0, limit=2.0, passed=False)])
def test_parity_that_was_not_shown_gives_no_ratio(parity: Parity | None) -> None:
    row = ratio_of(parity=parity)
    assert (row.ratio, row.verdict, row.no_ratio) == (None, None, "parity not shown")


@pytest.mark.parametrize("bad", [[math.nan] * 10, [0.0] * 10, [-1.0] * 10, [math.inf] * 10, [0.01] * 9])
def test_times_that_cannot_be_divided_give_no_ratio(bad: list[float]) -> None:
    row = ratio_of(ours_s=bad, blocks=[[1] * 10])
    assert (row.ratio, row.verdict) == (None, None)
    assert "not times above zero" in row.no_ratio


@pytest.mark.parametrize("fact", footing.FOOTING)
def test_footing_that_either_side_leaves_unstated_bars(fact: str) -> None:
    stated = make_record().facts
    for ours, theirs in ((None, stated[fact]), (stated[fact], None), (None, None), ("ours", "theirs")):
        records = [
            make_record(name, facts={**stated, fact: value}) for name, value in (("torch", theirs), ("flax", ours))
        ]
        row = ratios.rows(records, "torch")[1]
        words = [footing.UNSTATED if value is None else value for value in (ours, theirs)]
        assert (row.ratio, row.no_ratio) == (None, f"{fact} {words[0]} against {words[1]}")


def test_a_batch_that_only_one_side_states_bars() -> None:
    facts = {name: value for name, value in make_record().facts.items() if name != "batch_hash"}
    assert ratio_of(facts=facts).no_ratio == "batch_hash (not stated) against b"


def test_natural_differences_are_no_bar() -> None:
    facts = {**make_record().facts, "layout": "NHWC", "donation": True, "compile_scope": "whole", "graph_breaks": 3}
    assert ratio_of(facts=facts).ratio == pytest.approx(2.0)


def test_cells_of_one_run_on_two_processors_are_not_compared() -> None:
    old, new = {"cpu": "A", "instruction_set": "AVX2"}, {"cpu": "A", "instruction_set": "AVX-512"}
    records = [make_record("torch", environment=old), make_record("flax", environment=new)]
    row = ratios.rows(records, "torch")[1]
    assert (row.ratio, row.no_ratio) == (None, "measured on A (AVX-512), the reference on A (AVX2)")
    unknown = [make_record("torch", environment={"cpu": "A"}), make_record("flax", environment=new)]
    assert ratios.rows(unknown, "torch")[1].ratio == 1.0


def test_faults_are_a_share_of_the_step_by_what_one_costs_here() -> None:
    facts = {**make_record().facts, "fault_cost_s": 1e-7}
    row = ratio_of(minor_faults=[[1000.0, 1000.0, 9000.0], [1000.0], [3000.0]], facts=facts)
    assert (row.faults, row.fault_share) == (1000.0, pytest.approx(0.01))
    assert ratio_of(minor_faults=[[1000.0]]).fault_share is None
    assert ratio_of().faults is None


def test_what_is_implausible_has_figures_that_count_for_nothing() -> None:
    row = ratio_of(status="implausible", reason="1034 % of the roof")
    assert (row.ratio, row.right, row.struck, row.no_ratio) == (None, False, True, "1034 % of the roof")
    assert row.step_s == 0.01
