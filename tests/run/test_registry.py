from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from weighbridge.bench.core import Cell, Family, WeighbridgeError
from weighbridge.bench.run import cards, registry
from weighbridge.bench.run.plan import Filters, Suite, plan


def test_names_are_those_of_files() -> None:
    assert registry.own_modules("tasks")["image-classification"] == "weighbridge.tasks.image_classification"
    assert registry.own_modules("backends")["torch-compile"] == "weighbridge.backends.torch_compile"


def test_a_module_gives_what_it_defines_and_not_what_it_imports() -> None:
    assert [each.name for each in registry.backends_of("weighbridge.backends.torch_compile_dynamic")] == [
        "torch-compile-dynamic"
    ]
    assert registry.backend("weighbridge.backends.flax_nnx", "flax").name == "flax"
    assert registry.reference("weighbridge.backends.torch_eager", "torch").name == "torch"
    assert registry.task("weighbridge.tasks.tabular_regression", "tabular-regression").family == "regression"


def test_a_file_is_imported_once_and_finds_its_neighbours_last(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("WORD = 'here'\n")
    (tmp_path / "random.py").write_text("raise RuntimeError('this takes the place of a module of Python')\n")
    mine = tmp_path / "mine.py"
    mine.write_text("import random, neighbour\nWORD = neighbour.WORD + str(random.random())[:2]\n")
    before = list(sys.path)
    try:
        found = registry.imported(str(mine))
        assert found.WORD == "here0."
        assert registry.imported(str(mine)) is found
    finally:
        sys.path[:] = before
        sys.modules.pop("weighbridge_file_mine", None)


def test_a_file_that_fails_is_not_half_there(tmp_path: Path) -> None:
    mine = tmp_path / "half.py"
    mine.write_text("WORD = 1\nraise ValueError('no')\n")
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            registry.imported(str(mine))


def test_a_suite_is_not_a_path() -> None:
    with pytest.raises(WeighbridgeError, match="no suite"):
        registry.suite("../data")


@pytest.mark.parametrize("name", registry.suite_names())
def test_every_table_of_a_suite_plans_cells(name: str) -> None:
    suite = msgspec.convert(registry.suite(name), Suite)
    assert suite.about
    assert cards.reference(suite.reference).name == suite.reference
    assert suite.cells
    for table in suite.cells:
        alone = msgspec.structs.replace(suite, cells=[table])
        cells = plan(alone, Filters(), cards.task, cards.backend, cards.options)
        assert {cell.backend for cell in cells} == {cards.backend(each).name for each in table.backends}
        assert {cell.task for cell in cells} == set(table.tasks)
        assert {cell.scenario for cell in cells} == set(table.scenarios)
        assert {cell.preset for cell in cells} == set(table.presets)


@cache
def cells_of(suite: str) -> list[Cell]:
    return plan(msgspec.convert(registry.suite(suite), Suite), Filters(), cards.task, cards.backend, cards.options)


def backends_of(suite: str, task: str, scenario: str) -> set[str]:
    return {cell.backend for cell in cells_of(suite) if (cell.task, cell.scenario) == (task, scenario)}


def test_suites_hold_what_their_first_line_says() -> None:
    two, three = {"torch", "flax"}, {"torch", "torch-compile", "flax"}
    for suite in ("cpu", "full"):
        assert all(backends_of(suite, task, "infer") >= three for task in cards.tasks())
        assert backends_of(suite, "semantic-search", "infer") == {*three, "torch-compile-freezing"}
        assert backends_of(suite, "image-generation", "generate") == three
    assert backends_of("full", "text-generation", "generate") == {*three, "torch-compile-freezing"}
    assert {task: found for task in cards.tasks() if (found := backends_of("quick", task, "infer"))} == {
        "image-classification": two, "tabular-regression": three, "uncertainty": three, "semantic-search": two,
    }  # fmt: skip
    assert backends_of("quick", "text-generation", "generate") == two
    assert {cards.task(cell.task).family for cell in cells_of("quick")} == set(get_args(Family))
    assert "torch-compile on the two smallest tasks alone" in registry.suite("quick")["about"]
    assert "torch-compile-reduce-overhead" in backends_of("gpu", "text-generation", "generate")
