"""Figures are stated once and appear everywhere."""

from __future__ import annotations

import pytest

from tests.conftest import make_cell, make_record
from weighbridge.bench.analysis import ratios
from weighbridge.bench.analysis.figures import FIGURES, reader
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.report import csv, frame, markdown


def a_row(**changes: object) -> Row:
    return ratios.rows([make_record(**changes)], "fake")[0]


def test_names_are_not_doubled() -> None:
    names = [figure.name for figure in FIGURES]
    assert len(set(names)) == len(names)


def test_paths_and_functions_are_read_in_their_order() -> None:
    joules = next(figure for figure in FIGURES if figure.name == "tokens_per_j")
    some = [joules, FIGURES[0], FIGURES[2], joules]
    row = a_row(cell=make_cell(scenario="generate"), energy_j_per_step=4.0)
    assert reader(some)(row) == [2.0, "", "tabular-regression", 2.0]
    assert reader(FIGURES[:1])(row) == [""]
    assert reader([joules])(row) == [2.0]
    assert reader([])(row) == []


@pytest.mark.parametrize(
    ("scenario", "joules", "expected"), [("generate", 4.0, 2.0), ("generate", None, None), ("infer", 4.0, None)]
)
def test_tokens_per_joule_are_in_the_table_the_spreadsheet_and_pandas(
    scenario: str, joules: float | None, expected: float | None
) -> None:
    row = a_row(cell=make_cell(scenario=scenario), energy_j_per_step=joules)
    assert csv.values(row)["tokens_per_j"] == expected
    table, data = markdown.table([row]), frame.frame([row])
    assert ("tokens per joule" in table, "2.00 tokens/J" in table) == (expected is not None,) * 2
    assert data["tokens_per_j"].dropna().tolist() == ([] if expected is None else [expected])
