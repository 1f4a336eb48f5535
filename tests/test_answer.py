"""The first screen: who is named as the answer, and that nothing that failed is left unsaid."""

from bench import compare
from bench.record import Parity, Record
from bench.report.answer import Answer, answers, gaps
from bench.report.overview import Overview, day, named
from tests.conftest import make_cell, make_record


def answer(*records: Record) -> Answer:
    (found,) = answers(compare.rows(records, "torch"), "torch", 10).found
    return found


def test_the_fastest_by_its_interval_is_named() -> None:
    found = answer(make_record("torch", 0.02), make_record("flax", 0.01), make_record("slower", 0.03))
    assert found.backend == "flax"
    assert found.claim == "2.00× [2.00, 2.00] FASTER than torch"
    assert found.others == ["torch 20.0 ms a step (the reference)", "slower 0.67× [0.67, 0.67] SLOWER"]


def test_wrong_is_not_fast() -> None:
    wrong = Parity(ratio=9.0, limit=2.0, passed=False)
    found = answer(
        make_record("torch", 0.02),
        make_record("wrong", 0.001, status="parity_failed", parity=wrong),
        make_record("below-gate", 0.001, score={"r2": 0.1}),
    )
    assert found.backend == "torch"
    assert "nothing that is right is shown to be faster" in found.claim


def test_unsure_is_not_faster() -> None:
    found = answer(make_record("torch", 0.02), make_record("wild", [0.005, 0.04] * 5))
    assert found.backend == "torch"
    assert found.others[0].endswith("UNSURE")


def test_no_answer_is_said() -> None:
    found = answer(make_record("torch", status="crashed", step_s=[], reason="gone"))
    assert (found.backend, found.claim) == ("", "nothing that is right was measured")


def test_of_several_batch_sizes_the_one_with_the_highest_throughput_is_taken() -> None:
    cells = [
        make_record(backend, step_s, cell=make_cell(backend, batch_size=size), queued_step_s=[], items_per_step=size)
        for size, step_s in ((1, 0.01), (64, 0.1))
        for backend in ("torch", "flax")
    ]
    assert answer(*cells).question.endswith("batch 64")


def test_reasons_are_gathered_with_the_most_frequent_first() -> None:
    records = [make_record("torch")]
    records += [
        make_record(cell=make_cell("x", batch_size=n), status="oom", reason="full", step_s=[]) for n in range(1, 9)
    ]
    records.append(make_record("dead", status="crashed", reason="SIGKILL", step_s=[]))
    found = gaps(compare.rows(records, "torch"))
    assert [(gap.status, gap.count, len(gap.cells)) for gap in found] == [("oom", 8, 5), ("crashed", 1, 1)]


def test_the_headline_says_what_where_and_when() -> None:
    rows = compare.rows([make_record("torch", environment={"machine": "m"}), make_record("flax")], "torch")
    assert Overview(rows, "torch").headline == "2 of 2 cells weighed: tabular-regression on torch, flax; m, 2026-11-22."


def test_many_names_are_counted() -> None:
    assert named("task", map(str, range(1200))) == "1,200 tasks"
    assert day("no time") == "no time"
