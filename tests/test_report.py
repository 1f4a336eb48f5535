"""One table, three renderings. The Markdown is compared with a golden file: tests/golden/report.md."""

import csv as csv_reader
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench import compare
from bench.compare import BreakEven, Row
from bench.record import Noise, Parity, Record
from bench.report import csv, figures, markdown, table, terminal
from bench.report.overview import Overview
from tests.conftest import make_cell, make_record

GOLDEN = Path(__file__).parent / "golden" / "report.md"
ENVIRONMENT = {
    "machine": "two-core", "cpu": "A processor", "cpus": [0, 1], "memory_bytes": 2**34, "gpus": [],
    "python": "3.11.7", "commit": "abc1234", "versions": {"numpy": "2.0"},
}  # fmt: skip
BUSY = "other processes kept 1.2 CPUs busy"
HOSTILE = "<script>alert(1)</script>|../../etc/passwd\n=cmd()"


def records() -> list[Record]:
    failed = Parity(ratio=400.0, limit=2.0, passed=False, output="logits")
    return [
        make_record("torch", 0.02, environment=ENVIRONMENT),
        make_record("flax", 0.0125, environment=ENVIRONMENT, compile_s=93.0, warm_compile_s=0.05),
        make_record("later", 0.0125, pairing="sequential", noise=Noise(warnings=[BUSY])),
        make_record("once", 0.03, blocks=[[10]], noise=Noise(floor=0.03, warnings=[BUSY])),
        make_record("below-gate", 0.001, score={"r2": 0.1}),
        make_record("wrong", status="parity_failed", reason="error of 'logits' is 400", parity=failed, step_s=[]),
        make_record("absent", status="skipped", reason="absent needs x; type: pip install x", parity=None),
        make_record("dead", status="crashed", reason="worker killed by SIGKILL", parity=None),
    ]


def rows(found: list[Record] | None = None) -> list[Row]:
    return compare.rows(found or records(), "torch")


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
    notes = table.notes(rows())
    assert notes.count(BUSY) == 1
    (unpaired,) = (note for note in notes if "not in turns" in note)
    assert unpaired.endswith("tabular-regression[small] later infer fp32 b8 cpu")


@pytest.mark.parametrize(
    ("calls", "text"),
    [
        (None, "–"),
        ("never", "never"),
        (0.0, "0 calls"),
        (0.2, "1 call"),
        (12_345.6, "12,300 calls"),
        (999.5, "1,000 calls"),
    ],
)
def test_break_even_is_whole_calls(calls: BreakEven, text: str) -> None:
    assert figures.calls(calls) == text


def test_the_csv_has_the_interval_and_the_verdict() -> None:
    read = list(csv_reader.DictReader(io.StringIO(csv.render(rows()))))
    assert float(read[1]["ratio_low"]) == pytest.approx(1.6)
    assert (read[1]["verdict"], read[1]["pairing"]) == ("FASTER", "interleaved")
    assert (read[0]["verdict"], read[0]["noise_floor"]) == ("", "")
    assert {row["verdict"] for row in read[4:]} == {""}


@given(st.text(min_size=1))
def test_no_text_in_a_spreadsheet_begins_a_formula(text: str) -> None:
    assert str(csv.inert(text))[0] not in "=+-@\t\r"


@given(st.lists(st.text(), min_size=1))
def test_a_line_is_read_back_as_it_was_written_but_for_formulas(texts: list[str]) -> None:
    (read,) = csv_reader.reader(io.StringIO(csv.written([*texts, None, 1.5]), newline=""))
    assert read == [*(str(csv.inert(text)) for text in texts), "", "1.5"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (1234.5, "1,234"), (0.01234, "0.0123"), (99.94, "99.9"), (1.0, "1.00"), (100.0, "100")],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert figures.number(value) == text


@pytest.mark.parametrize(("value", "text"), [(2.5, "2.50 s"), (0.25, "250 ms"), (2e-5, "20.0 µs"), (3e-9, "3.00 ns")])
def test_seconds_have_the_readers_unit(value: float, text: str) -> None:
    assert figures.seconds(value) == text


def test_unknown_memory_is_not_zero() -> None:
    assert figures.size(None) == "n/a"
    assert figures.size(3 * 2**30) == "3.00 GiB"
