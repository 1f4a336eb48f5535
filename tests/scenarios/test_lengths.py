"""Lengths of rows: a cell each, of real rows that are long enough."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import make_cell
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.run import cards
from weighbridge.bench.scenarios.infer import Infer, cut, length_of

TEXTS = cards.task("semantic-search")


@pytest.mark.parametrize("given", ["32,128", " 32 , 128, 32", 32])
def test_each_length_is_a_cell(given: str | int) -> None:
    found = [dict(pairs) for pairs in Infer().variants(TEXTS, {"length": given})]
    assert found == [{"length": 32}, {"length": 128}][: 1 if given == 32 else 2]


def test_no_length_is_the_tasks_own() -> None:
    assert Infer().variants(TEXTS, {}) == [()]
    assert length_of(make_cell()) == 0
    assert length_of(make_cell(settings=(("length", 32),))) == 32


def test_rows_of_one_shape_have_no_length() -> None:
    with pytest.raises(WeighbridgeError, match="rows of image-classification have one shape"):
        Infer().variants(cards.task("image-classification"), {"length": "32"})


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "99999999999"])
def test_what_is_no_length_is_told(given: str) -> None:
    with pytest.raises(WeighbridgeError, match=f"-S length={given}"):
        Infer().variants(TEXTS, {"length": given})


def test_rows_are_cut_and_never_filled_up() -> None:
    rows = [
        {"ids": np.arange(start, start + count), "mask": np.ones(count)} for start, count in ((0, 3), (10, 5), (20, 4))
    ]
    found = cut(rows, 4, "texts")
    assert found["ids"].tolist() == [[10, 11, 12, 13], [20, 21, 22, 23]]
    assert found["mask"].shape == (2, 4)
    with pytest.raises(WeighbridgeError, match="no row of texts has 6 positions; the longest has 5"):
        cut(rows, 6, "texts")


def test_the_option_is_an_axis_of_the_plan() -> None:
    words = ["run", "--tasks", "semantic-search", "--backends", "torch,flax", "--lengths", "32,128", "--plan", "--json"]
    ended = subprocess.run([sys.executable, "-m", "weighbridge", *words], capture_output=True, text=True, check=False)
    cells = [(cell["backend"], dict(cell["settings"])) for cell in json.loads(ended.stdout)]
    assert cells == [(backend, {"length": length}) for length in (32, 128) for backend in ("torch", "flax")]
