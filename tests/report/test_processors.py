"""Runs of several processors in one report: side by side, never in one comparison."""

import io

from rich.console import Console

from tests.conftest import make_cell, make_record
from weighbridge.bench.analysis import ratios
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.record import Record
from weighbridge.bench.report import html, markdown, terminal
from weighbridge.bench.report.overview import Overview
from weighbridge.bench.report.plots import trade
from weighbridge.bench.report.processors import TITLE, processors

OLD = {"cpu": "AMD EPYC", "machine": "amd"}
AMD = {**OLD, "instruction_set": "AVX2"}
INTEL = {"cpu": "Intel Xeon", "machine": "intel", "instruction_set": "AVX-512, AMX"}


def weighed(step_s: float, environment: dict[str, object], day: int = 22, task: str = "a") -> list[Record]:
    where = {"environment": with_text(environment), "started": f"2026-11-{day}T00:00:00+00:00"}
    return [
        make_record("torch", 0.02, cell=make_cell("torch", task=task), **where),
        make_record("flax", step_s, cell=make_cell("flax", task=task), **where),
    ]


def with_text(environment: dict[str, object]) -> dict[str, object]:
    return {
        "cpus": [0, 1], "memory_bytes": 2**34, "gpus": [], "python": "3.11", "commit": "c", "versions": {},
        **environment,
    }  # fmt: skip


def rows_of(**runs: list[Record]) -> list[Row]:
    return [row for run, records in runs.items() for row in ratios.rows(records, "torch", run)]


def test_verdicts_that_differ_are_named_in_one_sentence() -> None:
    rows = rows_of(
        one=weighed(0.01, AMD) + weighed(0.01, AMD, task="b"), two=weighed(0.03, INTEL) + weighed(0.01, INTEL, task="b")
    )
    found = processors(rows)
    assert found
    assert found.columns[3:] == ["AMD EPYC (AVX2)", "Intel Xeon (AVX-512, AMX)"]
    assert found.lines[0] == [
        "a",
        "infer fp32 b8 cpu",
        "flax",
        "2.00× [2.00, 2.00] FASTER",
        "0.67× [0.67, 0.67] SLOWER",
    ]
    assert found.sentence == "Yes, for 1 of 2: flax on a (infer fp32 b8 cpu)."


def test_verdicts_that_agree_are_said_to() -> None:
    found = processors(rows_of(one=weighed(0.01, AMD), two=weighed(0.011, INTEL)))
    assert found
    assert found.sentence == "No verdict of 1 contradicts that on another processor."


def test_one_processor_is_no_question_and_an_old_record_of_it_is_no_other() -> None:
    assert processors(rows_of(one=weighed(0.01, AMD))) is None
    assert processors(rows_of(one=weighed(0.01, OLD), two=weighed(0.01, AMD))) is None


def test_of_several_runs_on_a_processor_the_newest_counts() -> None:
    found = processors(rows_of(one=weighed(0.01, AMD, 24), two=weighed(0.03, AMD, 23), three=weighed(0.01, INTEL)))
    assert found
    assert found.lines[0][3].startswith("2.00×")


def test_every_rendering_has_it() -> None:
    overview = Overview(rows_of(one=weighed(0.01, AMD), two=weighed(0.03, INTEL)), "torch")
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(terminal.render(overview))
    for text in (console.export_text(), markdown.render(overview), html.render(overview)):
        assert TITLE in text
        assert "Yes, for 1 of 1" in text
        assert "Intel Xeon" in text
    assert TITLE not in html.render(Overview(rows_of(one=weighed(0.01, AMD)), "torch"))


def test_a_front_holds_cells_of_one_processor() -> None:
    titles = [plot.title for plot in trade.pareto(rows_of(one=weighed(0.01, AMD), two=weighed(0.03, INTEL)))]
    assert len(titles) == 4
    assert titles[0].startswith("a, infer on AMD EPYC (AVX2)")
