"""One table, three renderings. The Markdown is compared with a golden file: tests/golden/report.md."""

import csv as csv_reader
import io
import os
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.conftest import ABOUT, FACTS, make_cell, make_record
from weighbridge.bench.analysis import ratios
from weighbridge.bench.analysis.breakeven import AT_ONCE, NEVER, UNKNOWN, BreakEven
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.record import Noise, Parity, Record
from weighbridge.bench.measure.statistics import Interval
from weighbridge.bench.report import columns, csv, markdown, notes, terminal, texts, units
from weighbridge.bench.report.overview import Overview
from weighbridge.bench.report.visible import visible

GOLDEN = Path(__file__).parents[1] / "golden" / "report.md"
ENVIRONMENT = {
    "machine": "two-core", "cpu": "A processor", "cpus": [0, 1], "memory_bytes": 2**34, "gpus": [],
    "python": "3.11.7", "commit": "abc1234", "versions": {"numpy": "2.0"},
}  # fmt: skip
BUSY = "other processes kept 1.2 CPUs busy"
HOSTILE = "<script>alert(1)</script>|../../etc/passwd\n=cmd()"


KNOWN = msgspec.structs.replace(ABOUT, contenders=["torch", "flax", "never", "absent"])
IN_TURNS = {"blocks": [[1] * 4] * 3, "queued_blocks": [4] * 3}
CAMP = {**FACTS, "camp": "torch", "fault_cost_s": 1e-7}


def records() -> list[Record]:
    failed = Parity(ratio=400.0, limit=2.0, passed=False, output="logits")
    return [
        make_record(
            "torch", [0.02] * 12, environment=ENVIRONMENT, about=KNOWN, facts=CAMP, queued_step_s=[0.02] * 12,
            host_import_bytes=60 * 2**20, minor_faults=[[12_400.0] * 4] * 3, **IN_TURNS,
        ),
        make_record(
            "flax", [0.0125] * 12, environment=ENVIRONMENT, compile_s=93.0, warm_compile_s=0.05, **IN_TURNS,
            queued_step_s=[0.0124, 0.0125, 0.0125, 0.0126] * 3, host_import_bytes=70 * 2**20,
        ),
        make_record("torch-compile", 0.016, facts=CAMP, compile_s=14.0, settled=False, stopped_by="time cap"),
        make_record("later", 0.0125, pairing="sequential", noise=Noise(warnings=[BUSY])),
        make_record("once", 0.03, blocks=[[10]], noise=Noise(floor=0.03, warnings=[BUSY])),
        make_record("below-gate", 0.001, score={"r2": 0.1}),
        make_record("memoising", 0.00001, status="implausible", reason="1,034 % of the roof"),
        make_record("wrong", status="parity_failed", reason="error of 'logits' is 400", parity=failed, step_s=[]),
        make_record("absent", status="skipped", reason="absent needs x; type: pip install x", parity=None),
        make_record("dead", status="crashed", reason="worker killed by SIGKILL", parity=None),
    ]  # fmt: skip


def rows(found: list[Record] | None = None) -> list[Row]:
    return ratios.rows(found or records(), "torch")


def test_markdown_is_the_golden_file() -> None:
    text = markdown.render(Overview(rows(), "torch"))
    if "WEIGHBRIDGE_WRITE_GOLDEN" in os.environ:
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_every_status_and_reason_is_shown_everywhere() -> None:
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(terminal.render(Overview(rows(), "torch")))
    printed = console.export_text()
    for record in records():
        for text in (printed, csv.render(rows())):
            assert record.status in text
            assert record.reason in text


def test_figures_under_the_gate_are_struck_out() -> None:
    line = next(line for line in markdown.table(rows()).splitlines() if "below-gate" in line)
    assert "~~1.00 ms~~" in line


def test_hostile_names_stay_inert() -> None:
    hostile = rows([make_record("torch"), make_record(cell=make_cell(HOSTILE), status="crashed", reason=HOSTILE)])
    text = markdown.render(Overview(hostile, "torch"))
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert len({line.count(" | ") for line in markdown.table(hostile).splitlines()[::2]}) == 1
    read = list(csv_reader.DictReader(io.StringIO(csv.render(hostile))))
    assert read[1]["reason"] == HOSTILE


def test_a_warning_is_said_once_and_unpaired_rows_are_named() -> None:
    told = notes.notes(rows())
    assert told.count(BUSY) == 1
    (unpaired,) = (note for note in told if "not in turns" in note)
    assert unpaired.endswith("tabular-regression[small] later infer fp32 b8 cpu")


def about(value: float, low: float, high: float) -> BreakEven:
    return BreakEven(value=value, low=low, high=high)


@pytest.mark.parametrize(
    ("calls", "text"),
    [
        (None, "–"),
        (NEVER, "never"),
        (UNKNOWN, "unknown"),
        (AT_ONCE, "0 calls"),
        (about(0.2, 0.1, 0.9), "1 call"),
        (about(12_345.6, 9_876, 14_001), "12,300 calls (9,880 to 14,000)"),
        (about(999.5, 999.2, 999.9), "1,000 calls"),
    ],
)
def test_break_even_is_whole_calls(calls: BreakEven | None, text: str) -> None:
    assert units.calls(calls) == text


def read_csv() -> dict[str, dict[str, str]]:
    return {line["backend"]: line for line in csv_reader.DictReader(io.StringIO(csv.render(rows())))}


def test_the_csv_has_the_interval_and_the_verdict() -> None:
    read = read_csv()
    assert float(read["flax"]["ratio_low"]) == pytest.approx(1.6)
    assert (read["flax"]["verdict"], read["flax"]["pairing"]) == ("FASTER", "interleaved")
    assert (read["torch"]["verdict"], read["torch"]["noise_floor"]) == ("", "")
    assert {read[name]["verdict"] for name in ("below-gate", "memoising", "wrong", "absent", "dead")} == {""}
    assert (read["once"]["verdict"], read["once"]["lean"], read["once"]["ratio_low"]) == ("UNSURE", "SLOWER", "")


def test_the_csv_has_both_ratios_throughput_memory_and_faults() -> None:
    flax, torch = read_csv()["flax"], read_csv()["torch"]
    assert (flax["best_backend"], flax["best_verdict"]) == ("torch-compile", "FASTER")
    assert float(flax["best_ratio"]) == float(flax["best_low"]) == pytest.approx(1.28)
    assert float(flax["items_per_s_low"]) < float(flax["items_per_s"]) < float(flax["items_per_s_high"])
    assert (flax["throughput_verdict"], float(flax["throughput_ratio"])) == ("FASTER", pytest.approx(1.6))
    assert float(flax["break_even_calls"]) == pytest.approx(12333, rel=1e-3)
    assert read_csv()["once"]["break_even_calls"] == "unknown"
    assert float(torch["fault_share"]) == pytest.approx(0.062)
    assert int(torch["host_import_bytes"]) == 60 * 2**20


def test_a_lean_is_said_and_one_process_is_called_a_look() -> None:
    once = next(row for row in rows() if row.record.cell.backend == "once")
    assert texts.verdict(once) == "UNSURE, leans SLOWER"
    look = [note for note in notes.notes(rows()) if "only a look" in note]
    assert look == ["one process a side is only a look, no verdict: --effort quick or more takes three (1 of 10 rows)"]
    assert not notes.lone([row for row in rows() if row is not once and row.record.cell.backend != "once"])


def test_not_settled_is_said_where_it_is_why_there_is_no_verdict() -> None:
    wild = [0.01, 0.04] * 6
    several = rows([make_record("torch", 0.02), make_record("flax", wild, settled=False, stopped_by="time cap")])
    alone = rows([make_record("torch", 0.02), make_record("flax", wild, settled=False, blocks=[[1] * 12])])
    assert texts.status(several[1]) == "ok, not settled"
    assert [texts.status(row) for row in (*alone, rows()[2])] == ["ok"] * 3


def test_faults_have_a_column_only_where_they_cost() -> None:
    titles = [column.title for column in columns.used(rows())]
    assert "page faults" in titles
    cheap = {**CAMP, "fault_cost_s": 1e-9}
    found = rows([make_record("torch", facts=cheap, minor_faults=[[12_400.0]])])
    assert "page faults" not in [column.title for column in columns.used(found)]


def test_the_best_rows_column_is_named_by_its_camp() -> None:
    column = next(column for column in columns.used(rows()) if column.title == "ratio to best torch row")
    shown = {row.record.cell.backend: column.text(row) for row in rows()}
    assert shown["flax"] == "1.28× [1.28, 1.28] FASTER (torch-compile)"
    assert shown["torch"] == "0.80× [0.80, 0.80] SLOWER (torch-compile)"
    assert (shown["torch-compile"], shown["memoising"]) == ("1.00×", "–")
    alone = rows([make_record("torch", facts=CAMP), make_record("flax", 0.005)])
    assert [column.text(row) for row in alone] == ["1.00×", "= torch"]


def test_steps_of_two_speeds_are_named() -> None:
    steps = [30e-6] * 16 + [80e-6] * 4
    records = [make_record("torch", [90e-6] * 300), make_record("flax", steps * 15, blocks=[[20] * 5] * 3)]
    told = [note for note in notes.notes(rows(records)) if "two speeds" in note]
    assert len(told) == 1
    assert "tabular-regression on flax: 30.0 µs and 80.0 µs" in told[0]
    assert not notes.two_speeds(rows(records[:1]))


@pytest.mark.parametrize(
    ("slowdown", "elsewhere", "told"),
    [
        ([1.0, 1.6, 1.5, 1.1], 0.0, ["around 6 of 12 blocks a fixed piece of work took 1.55 times as long"]),
        ([1.0, 1.6, 1.5, 1.1], 0.6, []),
        ([1.0, 1.2, 1.0, 1.1], 0.0, []),
        ([], None, []),
    ],
)
def test_somebody_outside_of_the_virtual_machine_is_told_of(
    slowdown: list[float], elsewhere: float | None, told: list[str]
) -> None:
    record = make_record("torch", [0.02] * 12, noise=Noise(cpus_elsewhere=elsewhere), **IN_TURNS)
    for process in record.processes:
        process.slowdown = slowdown
    found = notes.shared(rows([record]))
    assert len(found) == len(told)
    assert all(text in note for text, note in zip(told, found, strict=True))


def test_a_rate_beside_a_busy_neighbour_is_marked() -> None:
    crowded = make_record("torch", [0.02] * 12, queued_step_s=[0.02] * 12, crowded=[[True] * 4] * 3, **IN_TURNS)
    assert texts.rate(rows([crowded])[0]) == "400 rows/s [400, 400] beside a busy neighbour"


def test_host_peak_says_what_came_after_the_imports() -> None:
    assert texts.host_peak(rows()[0]) == "100 MiB (40.0 above import)"


def test_the_implausible_is_struck_named_and_no_answer() -> None:
    overview = Overview(rows(), "torch")
    line = next(line for line in markdown.table(rows()).splitlines() if "memoising" in line)
    assert "~~10.0 µs~~" in line
    assert [gap.status for gap in overview.gaps if gap.reason == "1,034 % of the roof"] == ["implausible"]
    assert overview.answers.found[0].backend == "flax"


@given(st.text(min_size=1))
def test_no_text_in_a_spreadsheet_begins_a_formula(text: str) -> None:
    assert str(csv.inert(text))[0] not in "=+-@\t\r"


@given(st.lists(st.text(), min_size=1))
def test_a_line_is_read_back_as_it_was_written_but_for_formulas(texts: list[str]) -> None:
    (read,) = csv_reader.reader(io.StringIO(csv.written([*texts, None, 1.5]), newline=""))
    assert read == [*(str(csv.inert(visible(text))) for text in texts), "", "1.5"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (1234.5, "1,234"), (0.01234, "0.0123"), (99.94, "99.9"), (1.0, "1.00"), (100.0, "100")],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert units.number(value) == text


def test_a_resumed_run_has_one_heading_a_group() -> None:
    cells = [make_cell("torch", batch_size=1), make_cell("torch", batch_size=8), make_cell("flax", batch_size=1)]
    found = [make_record(cell.backend, cell=cell) for cell in cells]
    console = Console(width=100, file=io.StringIO())
    console.print(terminal.render(Overview(ratios.rows(found, "torch"), "torch")))
    assert isinstance(console.file, io.StringIO)
    headings = re.findall(r"^tabular-regression, .* cpu$", console.file.getvalue(), re.MULTILINE)
    assert len(headings) == len(set(headings)) == 2


@pytest.mark.parametrize(
    ("value", "text"), [(2.5, "2.50 s"), (0.25, "250 ms"), (2e-5, "20.0 µs"), (3e-9, "3.00 ns"), (0.0, "0 s")]
)
def test_seconds_have_the_readers_unit(value: float, text: str) -> None:
    assert units.seconds(value) == text


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Interval(1.02, 0.01, 1310.4), "1.02× [no bounds]"),
        (Interval(25.0, 12.0, 400.0), "25.00× [12.00, 400.00]"),
        (Interval(1.0, 0.05, 1.1), "1.00× [0.05, 1.10]"),
        (Interval(1.0, 0.1, 10.0), "1.00× [0.10, 10.00]"),
    ],
)
def test_an_interval_that_leaves_everything_open_says_so(found: Interval, text: str) -> None:
    assert units.times(found.value, found) == text


def test_unknown_memory_is_not_zero() -> None:
    assert units.size(None) == "n/a"
    assert units.size(3 * 2**30) == "3.00 GiB"
