"""What graphs are made for, and where they are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tests.conftest import make_cell
from weighbridge.backends.torch_nn import exporting
from weighbridge.backends.torch_nn.exporting import Shape, Source, written
from weighbridge.bench.core import Arrays, ModelSpec, Seeded

SIZES = st.lists(st.integers(1, 4), min_size=2, max_size=3)


def batch(rows: int, sizes: list[int], dtype: str = "float32") -> Arrays:
    return {"x": np.zeros((rows, *sizes), dtype), "mask": np.zeros(rows, np.int64)}


@given(rows=st.integers(1, 5), others=st.integers(1, 5), sizes=SIZES)
def test_rows_are_no_part_of_a_shape(rows: int, others: int, sizes: list[int]) -> None:
    assert Shape.of(batch(rows, sizes)) == Shape.of(batch(others, sizes))
    assert (Shape.exactly(batch(rows, sizes)) == Shape.exactly(batch(others, sizes))) == (rows == others)


@given(first=SIZES, second=SIZES)
def test_a_widened_shape_takes_both(first: list[int], second: list[int]) -> None:
    ours, theirs = Shape.of(batch(2, first)), Shape.of(batch(2, second))
    widened = ours.widened(theirs)
    assert widened.takes(theirs)
    assert widened.takes(ours) == (len(first) == len(second))
    assert ours.takes(theirs) == (first == second)


def test_another_type_or_another_input_is_another_shape() -> None:
    ours = Shape.of(batch(2, [3]))
    assert not ours.takes(Shape.of(batch(2, [3], "float64")))
    assert not ours.takes(Shape.of({**batch(2, [3]), "more": np.zeros(2)}))


def test_a_graph_is_written_once_and_whole_or_not_at_all(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        written(tmp_path / "graph", fails)
    assert list(tmp_path.iterdir()) == []
    found = written(tmp_path / "graph", lambda folder: (folder / "whole").touch())
    assert [file.name for file in found.iterdir()] == ["whole"]
    assert written(tmp_path / "graph", fails) == found


@pytest.mark.parametrize("change", ["weights", "config", "precision"])
def test_what_it_is_made_of_tells_graphs_apart(change: str, tmp_path: Path) -> None:
    def digest(number: float, width: int, precision: str) -> str:
        save_file({"weight": np.full(3, number)}, tmp_path / "weights.safetensors")
        model = ModelSpec(architecture="mlp", config={"width": width}, weights=Seeded(seed=0))
        return Source(model, tmp_path / "weights.safetensors", make_cell(precision=precision)).digest

    other = {"weights": (1.0, 4, "fp32"), "config": (0.0, 5, "fp32"), "precision": (0.0, 4, "bf16")}
    assert digest(0.0, 4, "fp32") == digest(0.0, 4, "fp32") != digest(*other[change])


def test_torch_is_imported_where_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(exporting.FOLDER, str(tmp_path))
    exporting.folder.cache_clear()
    model = ModelSpec(architecture="mlp", config={}, weights=Seeded(seed=0))
    assert "torch" in exporting.imports(model)
    (tmp_path / "graph").mkdir()
    assert exporting.imports(model) == ()
    exporting.folder.cache_clear()
