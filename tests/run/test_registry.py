from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from bench.core import WeighbridgeError
from bench.run import cards, registry
from bench.run.plan import Filters, Suite, plan


def test_names_are_those_of_files() -> None:
    assert registry.own_modules("tasks")["image-classification"] == "tasks.image_classification"
    assert registry.own_modules("backends")["torch-compile"] == "backends.torch_compile"


def test_a_module_gives_what_it_defines_and_not_what_it_imports() -> None:
    assert [each.name for each in registry.backends_of("backends.torch_compile_dynamic")] == ["torch-compile-dynamic"]
    assert registry.backend("backends.flax_nnx", "flax").name == "flax"
    assert registry.reference("backends.torch_eager", "torch").name == "torch"
    assert registry.task("tasks.tabular_regression", "tabular-regression").family == "regression"


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


def backends_of(suite: str, task: str, scenario: str) -> set[str]:
    cells = plan(msgspec.convert(registry.suite(suite), Suite), Filters(), cards.task, cards.backend, cards.options)
    return {cell.backend for cell in cells if (cell.task, cell.scenario) == (task, scenario)}


def test_suites_hold_what_their_first_line_says() -> None:
    three = {"torch", "torch-compile", "flax"}
    assert all(backends_of("full", task, "infer") == three for task in cards.tasks())
    assert backends_of("full", "text-generation", "generate") == {*three, "torch-compile-freezing"}
    two = {"torch", "flax"}
    assert {task: backends_of("quick", task, "infer") for task in cards.tasks()} == {
        "image-classification": two, "tabular-regression": three, "semantic-search": two, "text-generation": set(),
        "text-classification": set(),
    }  # fmt: skip
    assert backends_of("quick", "text-generation", "generate") == two
    assert "torch-compile on the smallest task alone" in registry.suite("quick")["about"]
    assert "torch-compile-reduce-overhead" in backends_of("gpu", "text-generation", "generate")
