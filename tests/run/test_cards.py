"""What the parent knows of tasks and backends, and how modules fail that are not ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from tests import nouns
from tests.conftest import make_cell
from weighbridge.bench.cli.main import app
from weighbridge.bench.core import WeighbridgeError, child
from weighbridge.bench.run import cards, describe, registry

PLUGGED_TASK = """
from dataclasses import replace
from weighbridge.tasks import tabular_regression
TASK = replace(tabular_regression.TASK, name="plugged-task")
"""
PLUGGED_BACKEND = """
from weighbridge.backends.fake import Fake
class Plugged(Fake):
    name = {name!r}
    hidden = False
"""
Plug = Callable[[str, str, str], None]


def forget() -> None:
    """Modules are read once a process; these tests change what there is to read."""
    cards._shelf.cache_clear()
    child.path_variables.cache_clear()
    cards.describer.close()


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
        monkeypatch.setenv(
            "PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
        )
        forget()

    yield install
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize(
    ("look_up", "typed", "meant"),
    [
        (cards.task, "tabular-regresion", "tabular-regression"),
        (cards.task, "image_classification", "image-classification"),
        (cards.backend, "torhc", "torch"),
        (cards.reference, "torhc", "torch"),
        (registry.suite, "quikc", "quick"),
    ],
)
def test_a_slip_gets_a_did_you_mean(look_up: Callable[[str], object], typed: str, meant: str) -> None:
    with pytest.raises(WeighbridgeError) as caught:
        look_up(typed)
    assert f"{typed!r}; did you mean {meant!r}?" in str(caught.value)


@pytest.mark.parametrize(
    ("look_up", "known"),
    [(cards.task, "text-generation"), (cards.backend, "torch-compile"), (registry.suite, "quick")],
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
    assert cards.backend("fake").hidden
    with pytest.raises(WeighbridgeError, match="choose from") as caught:
        cards.backend("fak")
    assert "fake" not in str(caught.value)


def test_what_makes_no_weights_is_no_reference() -> None:
    assert cards.reference("torch").name == "torch"
    with pytest.raises(WeighbridgeError, match="'flax' cannot be the reference"):
        cards.reference("flax")


def test_a_card_says_what_its_noun_says() -> None:
    for name, task in nouns.tasks().items():
        card = cards.task(name)
        assert card == describe.task_card(task, card.module)
        assert (card.target, card.packages, dict(card.models)) == (task.target, task.packages, dict(task.models))
    for name, backend in nouns.backends().items():
        card = cards.backend(name)
        assert card == describe.backend_card(backend, card.module)
        assert (card.devices, card.scenarios, card.camp) == (backend.devices, backend.scenarios, backend.camp)


def test_a_backends_own_code_says_what_it_skips_and_what_its_workers_need(tmp_path: Path) -> None:
    on_cuda = cards.backend("torch-compile-reduce-overhead")
    cell = make_cell(on_cuda.name)
    assert cards.why_not(on_cuda, cell) == nouns.backend(on_cuda.name).why_not(cell)
    compiled = cards.backend("torch-compile")
    cell = make_cell(compiled.name)
    assert cards.why_not(compiled, cell) is None
    assert cards.variables(compiled, cell, tmp_path) == nouns.backend(compiled.name).env(cell, tmp_path)


def test_a_task_of_another_distribution_is_found(plug: Plug) -> None:
    plug("tasks", "plugged_task", PLUGGED_TASK)
    assert cards.task("plugged-task").name == "plugged-task"
    assert {"plugged-task", "tabular-regression"} <= cards.tasks().keys()


def test_a_backend_of_another_distribution_is_found(plug: Plug) -> None:
    plug("backends", "plugged_backend", PLUGGED_BACKEND.format(name="plugged"))
    assert cards.backend("plugged").name == "plugged"
    assert {"plugged", "torch", "fake"} <= cards.backends().keys()


FAULTS = {
    "import no_such_module": "no_such_module",
    "def (": "SyntaxError",
    "import sys; sys.exit('gone')": "gone",
    "import os; os._exit(3)": "exit code 3",
    "while True: pass": "no answer within",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "SIGSEGV",
    "print('{}'); import os; os.write(1, b'{\"value\": {}}\\n'); raise ValueError('printed')": "printed",
}


@pytest.mark.parametrize(("source", "why"), FAULTS.items(), ids=[text[:24] for text in FAULTS])
def test_a_module_that_cannot_be_read_costs_what_it_defines_and_no_more(
    plug: Plug, monkeypatch: pytest.MonkeyPatch, source: str, why: str
) -> None:
    monkeypatch.setattr(cards, "LIMIT_S", 5.0)
    before = cards.backends()
    plug("backends", "bad_one", source)
    after = cards.backends()
    bad = after.pop("bad-one")
    assert after == before
    assert why in bad.problem
    assert "weighbridge_plugged_bad_one" in bad.problem
    assert "\n" not in bad.problem
    assert cards.why_not(bad, make_cell(bad.name)) == bad.problem
    assert cards.why_not(after["fake"], make_cell("fake")) is None


def weighbridge(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_a_bad_task_and_a_bad_backend_are_named_and_the_rest_answers_as_before(
    plug: Plug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ("list", "--json"), ("run", "--suite", "fake", "--plan", "--json")
    before = [weighbridge(*words).stdout for words in asked]
    plug("tasks", "bad_task", "import os; os._exit(3)")
    assert [weighbridge(*words).stdout for words in asked] == before
    assert "bad_task cannot be read (worker ended with exit code 3)" in weighbridge("list").stderr
    assert "bad_task cannot be read" in weighbridge("doctor").stdout.replace("\n", " ")
    with pytest.raises(WeighbridgeError, match="bad_task cannot be read"):
        cards.task("bad-task")


@pytest.mark.parametrize(("entry", "name"), [("fake", "other"), ("other", "fake")])
def test_a_backend_does_not_take_the_place_of_another(plug: Plug, entry: str, name: str) -> None:
    plug("backends", entry, PLUGGED_BACKEND.format(name=name))
    assert cards.backend("fake").module == "weighbridge.backends.fake"
    if name == "fake":
        assert "takes the name 'fake' of weighbridge.backends.fake" in cards.backend("other").problem
    else:
        assert cards.backend("other").module == "weighbridge_plugged_fake"


def test_a_file_is_named_by_its_path(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(PLUGGED_BACKEND.format(name="of-a-file"))
    try:
        assert cards.named(["torch", str(mine)], "backends") == ["torch", "of-a-file"]
        assert cards.named([str(mine)], "backends") == ["of-a-file"]
        assert cards.backend("of-a-file").module == str(mine)
        assert cards.why_not(cards.backend("of-a-file"), make_cell("of-a-file")) is None
    finally:
        forget()


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (None, "there is no file"),
        ("x = 1", "defines no backend"),
        ("def (", "SyntaxError"),
        (PLUGGED_BACKEND.format(name="torch"), "takes the name 'torch' of weighbridge.backends.torch_eager"),
    ],
)
def test_a_file_that_is_no_backend_is_one_line(tmp_path: Path, source: str | None, why: str) -> None:
    mine = tmp_path / "mine.py"
    if source is not None:
        mine.write_text(source)
    with pytest.raises(WeighbridgeError, match=why) as caught:
        cards.named([str(mine)], "backends")
    assert "\n" not in str(caught.value)
    assert "torch" in cards.backends()
