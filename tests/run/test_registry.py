from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core import WeighbridgeError
from bench.run import registry
from bench.run.plan import Filters, Suite, plan

PLUGGED_TASK = """
from dataclasses import replace
from tasks import tabular_regression
TASK = replace(tabular_regression.TASK, name="plugged-task")
"""
PLUGGED_BACKEND = """
from backends.fake import Fake
class Plugged(Fake):
    name = {name!r}
    hidden = False
"""

Plug = Callable[[str, str, str], None]


def forget() -> None:
    """The registry looks around once a process; these tests change what there is to see."""
    for function in vars(registry).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plug]:
    """Installs a distribution of one module with one entry point: `plug(group, entry, source)`."""

    def install(group: str, entry: str, source: str) -> None:
        module = f"weighbridge_plugged_{entry}"
        (tmp_path / f"{module}.py").write_text(source)
        about = tmp_path / "plugged-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[weighbridge.{group}]\n{entry} = {module}\n")
        monkeypatch.syspath_prepend(tmp_path)
        forget()

    yield install
    for name in [name for name in sys.modules if name.startswith("weighbridge_plugged_")]:
        del sys.modules[name]
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize(
    ("look_up", "typed", "meant"),
    [
        (registry.task, "tabular-regresion", "tabular-regression"),
        (registry.task, "image_classification", "image-classification"),
        (registry.backend, "torhc", "torch"),
        (registry.reference, "torhc", "torch"),
        (registry.suite, "quikc", "quick"),
    ],
)
def test_a_slip_gets_a_did_you_mean(look_up: Callable[[str], object], typed: str, meant: str) -> None:
    with pytest.raises(WeighbridgeError) as caught:
        look_up(typed)
    assert f"{typed!r}; did you mean {meant!r}?" in str(caught.value)


@pytest.mark.parametrize(
    ("look_up", "known"),
    [(registry.task, "text-generation"), (registry.backend, "torch-compile"), (registry.suite, "quick")],
)
@given(name=st.text().map(lambda text: f"\n{text}/../"))
def test_what_is_nothing_like_a_name_gets_the_choice_in_one_line(
    look_up: Callable[[str], object], known: str, name: str
) -> None:
    with pytest.raises(WeighbridgeError) as caught:
        look_up(name)
    assert "\n" not in str(caught.value)
    assert known in str(caught.value)


def test_a_hidden_backend_can_be_had_and_is_not_offered() -> None:
    assert registry.backend("fake").hidden
    with pytest.raises(WeighbridgeError, match="choose from") as caught:
        registry.backend("fak")
    assert "fake" not in str(caught.value)


def test_a_suite_is_not_a_path() -> None:
    with pytest.raises(WeighbridgeError, match="no suite"):
        registry.suite("../data")


def test_what_makes_no_weights_is_no_reference() -> None:
    assert registry.reference("torch").name == "torch"
    with pytest.raises(WeighbridgeError, match="'flax' cannot be the reference"):
        registry.reference("flax")


def test_a_task_of_another_distribution_is_found(plug: Plug) -> None:
    plug("tasks", "plugged_task", PLUGGED_TASK)
    assert registry.task("plugged-task").name == "plugged-task"
    assert {"plugged-task", "tabular-regression"} <= registry.tasks().keys()


def test_a_backend_of_another_distribution_is_found(plug: Plug) -> None:
    plug("backends", "plugged_backend", PLUGGED_BACKEND.format(name="plugged"))
    assert registry.backend("plugged").name == "plugged"
    assert {"plugged", "torch", "fake"} <= registry.backends().keys()


def test_a_plugged_in_module_that_does_not_import_is_named(plug: Plug) -> None:
    plug("tasks", "plugged_task", "import no_such_module")
    with pytest.raises(WeighbridgeError, match=r"weighbridge_plugged_plugged_task cannot be imported .*no_such_module"):
        registry.task("plugged-task")


@pytest.mark.parametrize(("entry", "name"), [("fake", "other"), ("other", "fake")])
def test_a_backend_does_not_take_the_place_of_another(plug: Plug, entry: str, name: str) -> None:
    plug("backends", entry, PLUGGED_BACKEND.format(name=name))
    with pytest.raises(WeighbridgeError, match="fake"):
        registry.backends()


@pytest.mark.parametrize("name", registry.suite_names())
def test_every_table_of_a_suite_plans_cells(name: str) -> None:
    suite = msgspec.convert(registry.suite(name), Suite)
    assert suite.about
    assert registry.reference(suite.reference).name == suite.reference
    assert suite.cells
    for table in suite.cells:
        alone = msgspec.structs.replace(suite, cells=[table])
        cells = plan(alone, Filters(), registry.task, registry.backend)
        assert {cell.backend for cell in cells} == {registry.backend(each).name for each in table.backends}
        assert {cell.task for cell in cells} == set(table.tasks)
        assert {cell.scenario for cell in cells} == set(table.scenarios)
        assert {cell.preset for cell in cells} == set(table.presets)


def backends_of(suite: str, task: str, scenario: str) -> set[str]:
    cells = plan(msgspec.convert(registry.suite(suite), Suite), Filters(), registry.task, registry.backend)
    return {cell.backend for cell in cells if (cell.task, cell.scenario) == (task, scenario)}


def test_suites_hold_what_their_first_line_says() -> None:
    three = {"torch", "torch-compile", "flax"}
    assert all(backends_of("full", task, "infer") == three for task in registry.tasks())
    assert backends_of("full", "text-generation", "generate") == {*three, "torch-compile-freezing"}
    two = {"torch", "flax"}
    assert {task: backends_of("quick", task, "infer") for task in registry.tasks()} == {
        "image-classification": two, "tabular-regression": three, "semantic-search": two, "text-generation": set(),
    }  # fmt: skip
    assert backends_of("quick", "text-generation", "generate") == two
    assert "torch-compile on the smallest task alone" in registry.suite("quick")["about"]
    assert "torch-compile-reduce-overhead" in backends_of("gpu", "text-generation", "generate")
