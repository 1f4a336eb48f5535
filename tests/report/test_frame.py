"""`weighbridge.frame`: a tidy table, with the figures of report.csv."""

from pathlib import Path

import pandas as pd
import pytest

import weighbridge
from tests.conftest import make_record
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.storage import journals


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "first"
    folder.mkdir()
    for record in (
        make_record("torch", 0.02),
        make_record("flax", 0.01, host_peak_bytes=None),
        make_record("absent", status="skipped", parity=None, step_s=[]),
    ):
        journals.append(journals.journal(folder), record)
    return folder


def test_one_row_a_cell_with_numbers_as_numbers(run: Path) -> None:
    table = weighbridge.frame(run)
    assert list(table["backend"]) == ["torch", "flax", "absent"]
    assert table["ratio"].tolist()[:2] == [1.0, 2.0]
    assert pd.isna(table["step_s"][2])
    assert pd.isna(table["host_peak_bytes"][1])
    assert table["step_s"].dtype == "float64"


def test_what_is_known_of_turns_and_calls_has_columns_of_numbers(run: Path) -> None:
    table = weighbridge.frame(run)
    numbers = ("best_ratio", "throughput_ratio_low", "break_even_low", "host_import_bytes", "fault_share", "processes")
    assert all(pd.api.types.is_numeric_dtype(table[name]) for name in numbers)
    assert table["processes"].tolist() == [3, 3, 0]
    assert table["verdict"].tolist()[1] == "FASTER"


def test_one_row_a_step(run: Path) -> None:
    steps = weighbridge.frame(run, samples=True)
    assert steps.groupby("backend", observed=True).size().to_dict() == {"flax": 10, "torch": 10}
    assert steps.groupby("process").size().to_dict() == {0: 8, 1: 6, 2: 6}
    assert steps["block"].max() == 3


def test_several_runs_are_told_apart(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "second"
    other.mkdir()
    journals.append(journals.journal(other), make_record("torch", 0.03))
    table = weighbridge.frame(run, other)
    assert table.groupby("run", observed=True).size().to_dict() == {"first": 3, "second": 1}


def test_a_folder_without_a_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeighbridgeError, match="no records"):
        weighbridge.frame(tmp_path)
