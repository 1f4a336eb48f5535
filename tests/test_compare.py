import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import compare
from bench.record import Provenance
from tests.conftest import ABOUT, TARGET, make_cell, make_record


def ratio_of(reference_s: float = 0.02, ours_s: float = 0.01, **changes: object) -> compare.Row:
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
    found = compare.figures(record)
    assert found["first_token_s"] == pytest.approx(0.1)
    assert found["token_s"] == pytest.approx(0.4 / 4)


def test_two_runs_are_paired_by_cell_and_a_missing_side_is_named() -> None:
    before = [make_record("torch", 0.02), make_record("flax", 0.02)]
    after = [make_record("torch", 0.01)]
    first, second = compare.changes(before, after)
    assert first.ratio == pytest.approx(2.0)
    assert (second.after_status, second.ratio) == ("missing", None)
