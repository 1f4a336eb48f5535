import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import compare
from bench.record import Noise, Parity, Provenance
from tests.conftest import ABOUT, TARGET, make_cell, make_record


def ratio_of(reference_s: float = 0.02, ours_s: float | list[float] = 0.01, **changes: object) -> compare.Row:
    records = [make_record("torch", reference_s), make_record("flax", ours_s, **changes)]
    return compare.rows(records, "torch")[1]


def test_twice_as_fast_is_two() -> None:
    assert ratio_of().ratio == pytest.approx(2.0)
    assert not ratio_of().no_ratio


def test_the_reference_is_one() -> None:
    assert compare.rows([make_record("torch")], "torch")[0].ratio == 1.0


@pytest.mark.parametrize("fact", ["weights_hash", "batch_hash", "threads"])
def test_unequal_footing_gets_no_ratio_and_says_in_what(fact: str) -> None:
    facts = {**make_record().facts, fact: "other"}
    row = ratio_of(facts=facts)
    assert row.ratio is None
    assert row.no_ratio.startswith(f"{fact} other against")


def test_a_failure_gets_no_ratio_and_keeps_its_reason() -> None:
    row = ratio_of(status="timeout", reason="over the time limit")
    assert (row.ratio, row.step_s, row.no_ratio) == (None, None, "over the time limit")


def test_no_reference_beside_it_gives_no_ratio() -> None:
    assert "no reference" in compare.rows([make_record("flax")], "torch")[0].no_ratio
    other_group = [make_record("torch", cell=make_cell("torch", batch_size=1)), make_record("flax")]
    assert compare.rows(other_group, "torch")[1].ratio is None


def test_a_score_under_the_gate_gets_no_ratio() -> None:
    row = ratio_of(score={"r2": 0.49})
    assert not row.gate_passed
    assert row.ratio is None
    assert ratio_of(score={"r2": 0.496}).gate_passed


def test_the_gate_turns_around_where_lower_is_better() -> None:
    lower = msgspec.structs.replace(TARGET, higher_is_better=False)
    assert compare.reaches(1.005, 1.0, lower)
    assert not compare.reaches(1.02, 1.0, lower)
    assert compare.reaches(0.5, 1.0, lower)


@given(st.floats(-10, 10))
def test_a_score_always_reaches_itself(score: float) -> None:
    assert compare.reaches(score, score, TARGET)


def test_random_weights_have_no_score() -> None:
    seeded: Provenance = msgspec.structs.replace(ABOUT, weights="seeded")
    assert compare.main_score(make_record(about=seeded)) is None


def test_time_per_token_leaves_out_the_first() -> None:
    cell = make_cell(scenario="generate", batch_size=2)
    record = make_record(cell=cell, step_s=0.5, items_per_step=2 * 5, first_token_s=[0.1])
    found = compare.figures(compare.side(record))
    assert found["first_token_s"] == pytest.approx(0.1)
    assert found["token_s"] == pytest.approx(0.4 / 4)


def noisy(step_s: float, spread: float, count: int = 40, seed: int = 0) -> list[float]:
    return (step_s * np.exp(np.random.default_rng(seed).normal(0, spread, count))).tolist()


def test_paired_blocks_cancel_what_both_felt() -> None:
    weather = noisy(1.0, 0.3)
    row = against([0.02 * x for x in weather], [0.01 * x for x in weather])
    assert row.ratio == pytest.approx(2.0)
    assert row.interval is not None
    assert row.interval.relative_error < 1e-9
    assert (row.verdict, row.pairing) == ("FASTER", "interleaved")


def against(reference: list[float], ours: list[float], **changes: object) -> compare.Row:
    records = [make_record("torch", step_s=reference), make_record("flax", step_s=ours, **changes)]
    return compare.rows([msgspec.structs.replace(r, **same(changes)) for r in records], "torch")[1]


def same(changes: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in changes.items() if name in ("pairing", "noise", "blocks")}


@pytest.mark.parametrize(
    ("ours_s", "spread", "verdict"),
    [(0.0095, 0.001, "FASTER"), (0.0105, 0.001, "SLOWER"), (0.01, 0.001, "SAME"), (0.0103, 0.2, "UNSURE")],
)
def test_one_word(ours_s: float, spread: float, verdict: str) -> None:
    assert against(noisy(0.01, spread), noisy(ours_s, spread, seed=1)).verdict == verdict


def test_the_reference_has_no_verdict() -> None:
    row = compare.rows([make_record("torch")], "torch")[0]
    assert (row.ratio, row.verdict, row.interval) == (1.0, None, None)


def test_the_larger_floor_of_both_records_counts() -> None:
    noise = Noise(floor=0.5)
    row = against(noisy(0.012, 0.001), noisy(0.01, 0.001), noise=noise)
    assert (row.verdict, row.floor) == ("SAME", 0.5)
    assert against(noisy(0.012, 0.001), noisy(0.01, 0.001)).verdict == "FASTER"


@pytest.mark.parametrize(("reference_s", "verdict"), [(0.0115, "UNSURE"), (0.01, "UNSURE"), (0.013, "FASTER")])
def test_sequential_single_processes_need_more_than_they_differ_by_on_their_own(
    reference_s: float, verdict: str
) -> None:
    row = against(noisy(reference_s, 0.001), noisy(0.01, 0.001), pairing="sequential")
    assert (row.verdict, row.pairing) == (verdict, "sequential")


def test_sequential_processes_are_believed_where_there_are_several() -> None:
    blocks = [[1] * 10] * 4
    row = against(noisy(0.0115, 0.001), noisy(0.01, 0.001), pairing="sequential", blocks=blocks)
    assert row.verdict == "FASTER"


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


@pytest.mark.parametrize("fact", ["affinity", "scope", "precision"])
def test_footing_bars_only_what_both_state(fact: str) -> None:
    stated = {**make_record().facts, fact: "ours"}
    records = [make_record("torch", facts={**stated, fact: "theirs"}), make_record("flax", facts=stated)]
    assert compare.rows(records, "torch")[1].no_ratio == f"{fact} ours against theirs"
    records[0].facts.pop(fact)
    assert compare.rows(records, "torch")[1].ratio == 1.0


def test_a_batch_that_only_one_side_states_bars() -> None:
    facts = {name: value for name, value in make_record().facts.items() if name != "batch_hash"}
    assert ratio_of(facts=facts).no_ratio == "batch_hash (not stated) against b"


def test_natural_differences_are_no_bar() -> None:
    facts = {**make_record().facts, "layout": "NHWC", "donation": True, "compile_scope": "whole", "graph_breaks": 3}
    assert ratio_of(facts=facts).ratio == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("ours_s", "compile_s", "calls"),
    [(0.01, 10.5, 1000.0), (0.03, 10.5, "never"), (0.01, 0.1, 0.0), (0.02, 10.5, "never"), (0.01, None, None)],
)
def test_break_even(ours_s: float, compile_s: float | None, calls: object) -> None:
    row = ratio_of(ours_s=ours_s, compile_s=compile_s)
    assert row.break_even_calls == (pytest.approx(calls) if isinstance(calls, float) else calls)


def test_warm_break_even_is_to_the_first_step_of_what_keeps_no_cache() -> None:
    assert ratio_of(compile_s=10.5, warm_compile_s=1.5).warm_break_even_calls == pytest.approx(100.0)
    assert ratio_of(compile_s=10.5).warm_break_even_calls is None
