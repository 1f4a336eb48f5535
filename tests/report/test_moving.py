"""What is said first: correctness, then speed, memory and compilation, and a line to act on."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from tests.conftest import FACTS, make_cell, make_record
from weighbridge.bench.analysis import ratios
from weighbridge.bench.core.record import Parity, Record
from weighbridge.bench.report import html, markdown, terminal
from weighbridge.bench.report.moving import Move, lead
from weighbridge.bench.report.overview import Overview

TORCH, FLAX = {**FACTS, "camp": "torch"}, {**FACTS, "camp": "flax"}
MIB = 2**20
FAILED = Parity(ratio=9.0, limit=2.0, passed=False)
IN_TURNS = {"blocks": [[1] * 4] * 3, "queued_blocks": [4] * 3}


def reference(step_s: float | list[float] = 0.02, **changes: object) -> Record:
    return make_record("torch", step_s, facts=TORCH, **{"host_peak_bytes": 800 * MIB, **changes})


def flax(step_s: float | list[float] = 0.0125, **changes: object) -> Record:
    return make_record("flax", step_s, facts=FLAX, **{"host_peak_bytes": 400 * MIB, "compile_s": 0.5, **changes})


def moved(*records: Record) -> Move:
    (found,) = [
        move for answer in Overview(ratios.rows(records, "torch"), "torch").answers.found for move in answer.moves
    ]
    return found


def test_who_is_right_faster_and_smaller_is_said_so_in_one_sentence() -> None:
    found = moved(reference(), flax(), make_record("torch-compile", 0.016, facts=TORCH))
    assert found.sentence == (
        "tabular-regression on flax (batch 8): same answers; faster, 1.60× [1.60, 1.60] of torch, 1.28× [1.28, 1.28] "
        "of torch-compile (FASTER); 0.50× the host memory (400 MiB against 800 MiB); first call 500 ms"
    )
    assert found.advice == "To gain by moving: speed, 1.60× of torch, 400 MiB of host memory."


def test_a_gain_over_eager_alone_says_that_nothing_else_of_its_camp_was_weighed() -> None:
    assert moved(reference(), flax()).advice.endswith(
        "Open: no other torch row, which needs no move, was weighed beside it."
    )


def test_what_a_compiler_gives_without_a_move_is_no_gain() -> None:
    found = moved(reference(), flax(host_peak_bytes=800 * MIB), make_record("torch-compile", 0.01, facts=TORCH))
    assert found.advice == ("Nothing to gain by moving was shown. torch-compile is faster still, and needs no move.")


def test_memory_that_is_the_frameworks_import_is_named_so() -> None:
    ours, theirs = {"host_import_bytes": 200 * MIB}, {"host_import_bytes": 700 * MIB}
    found = moved(reference(**theirs), flax(**ours))
    assert "above the imports 200 MiB against 100 MiB" in found.sentence
    assert "400 MiB of host memory (the framework's imports alone)" in found.advice


def test_slower_is_a_loss_and_memory_alone_a_gain() -> None:
    found = moved(reference(0.01), flax(0.02))
    assert "slower, 0.50×" in found.sentence
    assert found.advice == "To gain by moving: 400 MiB of host memory. To lose: speed, 0.50× of torch."


def test_a_speed_that_is_not_settled_is_open_and_says_what_to_type() -> None:
    found = moved(reference(), flax([0.005, 0.04] * 5))
    assert "speed not settled" in found.sentence
    assert "Open: speed; --effort standard takes more processes." in found.advice
    assert "speed" not in found.advice.split("Open:")[0]


def test_latency_and_throughput_that_part_are_both_told() -> None:
    found = moved(
        reference([0.01] * 12, queued_step_s=[0.01] * 12, **IN_TURNS),
        make_record(
            "flax", [0.0125] * 12, facts=FLAX, queued_step_s=[0.004] * 12, host_peak_bytes=800 * MIB, **IN_TURNS
        ),
    )
    assert "slower, 0.80×" in found.sentence
    assert "in a queue 2.50× [2.50, 2.50], FASTER" in found.sentence
    assert found.advice == "To gain by moving: throughput, 2.50×. To lose: speed, 0.80× of torch."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "parity_failed", "reason": "error is 9", "parity": FAILED}, "parity_failed, error is 9"),
        ({"score": {"r2": 0.1}}, "worse answers, r2 0.1000"),
        ({"status": "crashed", "reason": "SIGKILL", "step_s": []}, "crashed, SIGKILL"),
    ],
)  # fmt: skip
def test_who_is_wrong_is_not_recommended_however_fast(changes: dict[str, object], said: str) -> None:
    found = moved(
        reference(), msgspec.structs.replace(flax(0.001), **{k: v for k, v in changes.items() if k != "step_s"})
    )
    assert said in found.sentence
    assert "gain" not in found.advice
    assert not found.answers_alike


def test_a_ratio_of_few_blocks_is_not_told_in_the_sentence() -> None:
    """Blocks beside a busy neighbour do not count; of the others there may be one."""
    crowded = [[False, True, True, True], [True] * 4, [True] * 4]
    changes = {"blocks": [[1] * 4] * 3, "crowded": crowded}
    found = moved(reference([0.18] + [0.02] * 11, **changes), flax([0.01] * 12, **changes))
    assert "speed not settled (leans FASTER), too few quiet blocks for a ratio; " in found.sentence
    assert "×" not in found.sentence.split("; ")[1]
    assert "most blocks had a busy neighbour" in found.advice
    assert "--effort" not in found.advice
    every = moved(reference([0.18] + [0.02] * 11, blocks=[[1] * 4] * 3), flax([0.01] * 12, blocks=[[1] * 4] * 3))
    assert "of torch" in every.sentence.split("; ")[1]


def test_over_many_tasks_it_counts_and_names_nobody_twice() -> None:
    base = {"backend": "flax", "sentence": "s", "advice": "a"}
    many = [
        Move(task="a", answers_alike=True, verdict="FASTER", **base),
        Move(task="b", answers_alike=True, verdict="UNSURE", **base),
        Move(task="c", answers_alike=False, verdict="FASTER", **base),
    ]
    assert lead(many) == ["flax: same answers in 2 of 3 cases; faster in 1, speed not settled in 1"]
    assert lead(many, left_out=4)[0].startswith("flax: same answers in 2 of the first 3 cases")
    assert lead(many[:1]) == ["s"]


def test_it_comes_first_in_every_rendering() -> None:
    overview = Overview(ratios.rows([reference(), flax()], "torch"), "torch")
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(terminal.render(overview))
    said = overview.title
    assert said.startswith("tabular-regression on flax (batch 8): same answers; faster")
    assert console.export_text().startswith(said)
    assert markdown.render(overview).replace("\\", "").startswith(f"# {said}")
    assert f"<h1>{said}.</h1>" in html.render(overview)


def test_a_run_of_the_reference_alone_says_what_was_weighed() -> None:
    assert Overview(ratios.rows([reference()], "torch"), "torch").title.startswith("1 of 1 cells weighed")


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("backend", ["flax", "torch-compile-reduce-overhead"])
def test_a_narrow_terminal_keeps_what_decides(width: int, backend: str) -> None:
    records = [reference(), make_record(backend, 0.0125, facts=FLAX, cell=make_cell(backend))]
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(terminal.render(Overview(ratios.rows(records, "torch"), "torch")))
    lines = console.export_text().splitlines()
    (heading,) = [line for line in lines if line.startswith("backend ")]
    for title in ("score", "parity", "ratio", "verdict"):
        assert title in heading
    assert heading.index("score") < heading.index("ratio")
    (row,) = [line for line in lines if line.startswith(f"{backend} ")]
    assert "FASTER" in row
    assert max(map(len, lines)) <= width


def test_options_stand_below_the_backend_where_there_is_little_room() -> None:
    cell = make_cell("torch-compile-freezing", options=(("dynamic", "true"),))
    records = [reference(), make_record("torch-compile-freezing", 0.0125, facts=TORCH, cell=cell)]
    for width, alone in ((80, True), (300, False)):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(terminal.render(Overview(ratios.rows(records, "torch"), "torch")))
        lines = console.export_text().splitlines()
        (at,) = [place for place, line in enumerate(lines) if line.startswith("torch-compile-freezing")]
        assert "FASTER" in lines[at]
        assert (lines[at + 1] == "  dynamic=true") is alone
        assert lines[at].startswith("torch-compile-freezing(dynamic=true)") is not alone
        assert max(map(len, lines)) <= width


def test_a_group_whose_rows_were_weighed_apart_has_one_heading() -> None:
    other = make_cell("torch", batch_size=2)
    records = [reference(), make_record(cell=other, facts=TORCH), flax()]
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal.render(Overview(ratios.rows(records, "torch"), "torch")))
    headings = [line for line in console.export_text().splitlines() if line.endswith(" cpu")]
    assert len(headings) == len(set(headings)) == 2
