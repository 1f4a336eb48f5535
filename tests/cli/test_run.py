"""What commands that weigh print: the answer first, whatever was weighed."""

from __future__ import annotations

import pytest

from tests.conftest import make_cell, make_record
from weighbridge.bench.analysis import ratios
from weighbridge.bench.cli.run import print_overview
from weighbridge.bench.report.overview import Overview


def test_commands_that_print_no_table_begin_with_the_answer_too(capsys: pytest.CaptureFixture[str]) -> None:
    records = [
        make_record(name, [step_s] * 40, cell=make_cell(name, task="apples", scenario="single_stream"))
        for name, step_s in (("torch", 0.02), ("flax", 0.01))
    ]
    print_overview(Overview(ratios.rows(records, "torch"), "torch"), table=False)
    answer, advice, *rest = capsys.readouterr().out.splitlines()
    assert answer.startswith("apples on flax (single_stream, batch ")
    assert advice
    assert not any(line.startswith("apples on flax") for line in rest)
    assert any("single stream p50" in line for line in rest)
