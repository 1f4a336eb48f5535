"""The first screen: who is named as the answer, and that nothing that failed is left unsaid."""

import io

import msgspec
import pytest
from rich.console import Console

from tests.conftest import ABOUT, FACTS, make_cell, make_record
from weighbridge.bench.analysis import ratios
from weighbridge.bench.core.record import Parity, Provenance, Record
from weighbridge.bench.report import html, markdown, terminal
from weighbridge.bench.report.absent import MOST_CHARACTERS, absent
from weighbridge.bench.report.answer import Answer, answers, fastest, gaps
from weighbridge.bench.report.overview import Overview, day, named


def answer(*records: Record) -> Answer:
    (found,) = answers(ratios.rows(records, "torch"), "torch", 10).found
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
    assert "no other is shown to be faster" in found.claim


def test_unsure_is_not_faster() -> None:
    found = answer(make_record("torch", 0.02), make_record("wild", [0.005, 0.04] * 5))
    assert found.backend == "torch"
    assert found.claim == "the reference; no other is shown to be faster; wild leans FASTER"
    assert found.others[0].endswith("UNSURE, leans FASTER")


CAMP = {**FACTS, "camp": "torch"}


def compiled(step_s: float | list[float]) -> Record:
    return make_record("torch-compile", step_s, facts=CAMP)


def test_both_ratios_are_named() -> None:
    found = answer(make_record("torch", 0.02, facts=CAMP), make_record("flax", 0.01), compiled(0.0125))
    best = "1.25× [1.25, 1.25] FASTER against torch-compile, the best torch row"
    assert found.claim == f"2.00× [2.00, 2.00] FASTER than torch, {best}"
    assert found.others == [
        "torch 20.0 ms a step (the reference), 0.62× [0.62, 0.63] SLOWER against torch-compile, the best torch row",
        "torch-compile 1.60× [1.60, 1.60] FASTER, the best torch row",
    ]


def test_where_the_reference_is_the_best_of_its_camp_one_ratio_is_named() -> None:
    found = answer(make_record("torch", 0.02, facts=CAMP), make_record("flax", 0.01), compiled(0.03))
    assert found.claim == "2.00× [2.00, 2.00] FASTER than torch"


@pytest.mark.parametrize(
    ("flax_s", "backend", "rival"), [(0.0099, "flax", "torch-compile"), (0.0101, "torch-compile", "flax")]
)
def test_the_larger_ratio_is_the_answer_and_who_may_equal_it_is_named(flax_s: float, backend: str, rival: str) -> None:
    found = answer(make_record("torch", 0.02, facts=CAMP), make_record("flax", flax_s), compiled(0.01))
    assert found.backend == backend
    assert found.claim.endswith(f"; not told apart from {rival}")
    apart = answer(make_record("torch", 0.02, facts=CAMP), make_record("flax", 0.01), compiled(0.015))
    assert "not told apart" not in apart.claim


def test_who_is_slower_than_the_best_of_the_references_camp_is_no_answer() -> None:
    records = [make_record("torch", 0.02, facts=CAMP), make_record("flax", 0.01), compiled(0.012)]
    torch, flax, best = ratios.rows(records, "torch")
    beaten = msgspec.structs.replace(flax, best_verdict="SLOWER")
    assert fastest([torch, flax, best], "torch") is flax
    assert fastest([torch, beaten, best], "torch") is best


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
    found = gaps(ratios.rows(records, "torch"))
    assert [(gap.status, gap.count, len(gap.cells)) for gap in found] == [("oom", 8, 5), ("crashed", 1, 1)]


def test_it_is_said_what_was_weighed_where_and_when() -> None:
    rows = ratios.rows([make_record("torch", environment={"machine": "m"}), make_record("flax")], "torch")
    assert Overview(rows, "torch").weighed == "2 of 2 cells weighed: tabular-regression on torch, flax; m, 2026-11-22."


def among(*contenders: str) -> Provenance:
    return msgspec.structs.replace(ABOUT, contenders=list(contenders))


def weighed(task: str, *backends: str, about: Provenance = ABOUT) -> list[Record]:
    return [make_record(backend, cell=make_cell(backend, task=task), about=about) for backend in backends]


def absent_of(*records: list[Record]) -> str:
    return absent(ratios.rows([each for some in records for each in some], "torch"))


def test_what_was_not_weighed_is_said_beside_what_was() -> None:
    known = among("torch", "flax", "compiled", "dynamic")
    records = [
        *weighed("a", "torch", "flax", about=known),
        *weighed("b", "torch", "flax", "compiled", about=known),
        *weighed("c", "torch", "flax", about=known),
    ]
    overview = Overview(ratios.rows(records, "torch"), "torch")
    first = "; not weighed: dynamic on all; compiled on a and 1 more group."
    assert overview.weighed.endswith(first)
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(terminal.render(overview))
    for text in (console.export_text(), markdown.render(overview), html.render(overview)):
        assert first in text


def test_old_records_name_nobody_who_was_not_weighed() -> None:
    assert absent_of(weighed("a", "torch", "flax")) == ""
    assert "not weighed" not in Overview(ratios.rows(weighed("a", "torch"), "torch"), "torch").weighed


def test_only_who_could_run_is_missed_and_a_row_of_any_ending_is_a_row() -> None:
    both, torch = among("torch", "flax"), among("torch")
    skipped = make_record(cell=make_cell("flax", task="a"), status="skipped", about=both, step_s=[])
    assert absent_of(weighed("a", "torch", about=both), [skipped], weighed("b", "torch", about=torch)) == ""
    assert absent_of(weighed("a", "torch", about=both), weighed("b", "torch", about=torch)) == "flax on a"


def test_it_is_short() -> None:
    known = among("torch", *(f"a-backend-with-a-long-name-{n}" for n in range(9)))
    found = absent_of(weighed("a", "torch", about=known))
    assert len(found) <= MOST_CHARACTERS + len("; and 9 more backends")
    assert found.endswith("more backends")


def test_many_names_are_counted() -> None:
    assert named("task", map(str, range(1200))) == "1,200 tasks"
    assert day("no time") == "no time"
