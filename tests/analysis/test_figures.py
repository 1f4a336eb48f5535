"""Figures are stated once and appear everywhere."""

from __future__ import annotations

from bench.analysis import ratios
from bench.analysis.figures import FIGURES, Figure, reader
from bench.analysis.row import Row
from tests.conftest import make_record


def a_row(**changes: object) -> Row:
    return ratios.rows([make_record(**changes)], "fake")[0]


def test_names_are_not_doubled() -> None:
    names = [figure.name for figure in FIGURES]
    assert len(set(names)) == len(names)


def test_paths_and_functions_are_read_in_their_order() -> None:
    made = Figure("two", lambda row: 2.0)
    row = a_row()
    assert reader([made, FIGURES[0], FIGURES[2], made])(row) == [2.0, "", "tabular-regression", 2.0]
    assert reader(FIGURES[:1])(row) == [""]
    assert reader([made])(row) == [2.0]
    assert reader([])(row) == []
