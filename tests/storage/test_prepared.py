from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from tests import nouns
from tests.conftest import make_cell
from weighbridge.bench.core import (
    Arrays,
    Cell,
    Device,
    Files,
    ModelSpec,
    Precision,
    Reference,
    Session,
    Task,
    Training,
    Work,
)
from weighbridge.bench.run import prepare
from weighbridge.bench.run.describe import backend_card, task_card
from weighbridge.bench.scenarios.steps.batches import BATCHES, joined, turned
from weighbridge.bench.storage import prepared
from weighbridge.bench.storage.prepared import Prepared

UNSAVABLE = {"fine": np.zeros(3), "objects": np.array([object()])}


class Counting(Reference):
    """The fake reference, and what was asked of it."""

    name = "fake"

    def __init__(self) -> None:
        self.fake = nouns.reference("fake")
        self.made = 0
        self.opened: list[Cell] = []

    def weights(self, model: ModelSpec, files: Files, training: Training | None) -> Arrays:
        self.made += 1
        return self.fake.weights(model, files, training)

    def large_product(self, precision: Precision, device: Device) -> Work:
        return self.fake.large_product(precision, device)

    def large_copy(self, device: Device) -> Work:
        return self.fake.large_copy(device)

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        self.opened.append(cell)
        return self.fake.open(model, weights, cell)


@pytest.fixture
def reference() -> Counting:
    return Counting()


@pytest.fixture
def task() -> Task:
    return nouns.task("tabular-regression")


def ensure(root: Path, task: Task, cell: Cell, reference: Reference) -> Prepared:
    return prepare.ensure(root, task, cell, {}, reference, lambda fraction: None)


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    """Every file below, with what changes when it is written again."""
    paths = [path for path in root.rglob("*") if path.is_file()]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def test_artefacts_are_made_once(tmp_path: Path, task: Task, reference: Counting, cell: Cell) -> None:
    first = ensure(tmp_path, task, cell, reference)
    before = stamps(tmp_path)
    names = [first.weights.name, *(f"{name}.safetensors" for name in ("batch", "reference", "oracle"))]
    assert before.keys() == {*names, *(f"{name}.sha256" for name in names)}
    assert (reference.made, len(reference.opened)) == (1, 2)
    assert ensure(tmp_path, task, cell, reference) == first
    assert (reference.made, len(reference.opened)) == (1, 2)
    assert stamps(tmp_path) == before


def test_the_oracle_is_in_float64_and_beside_the_reference(
    tmp_path: Path, task: Task, reference: Counting, cell: Cell
) -> None:
    made = ensure(tmp_path, task, cell, reference)
    oracle, float32 = made.oracle()["prediction"], made.reference()["prediction"]
    assert (oracle.dtype, float32.dtype) == (np.float64, np.float32)
    assert oracle.shape == float32.shape == (cell.batch_size,)
    assert np.ptp(oracle) > 0
    assert 0 < np.abs(oracle - float32).max() < 1e-5
    assert made.rows()["features"].shape == (cell.batch_size, 10)
    assert made.weights_hash == prepared.file_hash(made.weights)


def test_only_what_is_gone_is_made_again(tmp_path: Path, task: Task, reference: Counting, cell: Cell) -> None:
    made = ensure(tmp_path, task, cell, reference)
    oracle = made.oracle()
    before = stamps(tmp_path)
    (made.folder / "oracle.safetensors").unlink()
    reference.opened.clear()
    assert ensure(tmp_path, task, cell, reference) == made
    assert [each.precision for each in reference.opened] == ["fp64"]
    np.testing.assert_array_equal(made.oracle()["prediction"], oracle["prediction"])
    after = stamps(tmp_path)
    assert {name for name in after if after[name] != before[name]} <= {
        "oracle.safetensors",
        "oracle.safetensors.sha256",
    }


def test_a_group_shares_its_artefacts_and_the_reference_makes_them_on_the_cpu(
    tmp_path: Path, task: Task, reference: Counting
) -> None:
    made = [
        ensure(tmp_path, task, make_cell(backend, device=device), reference)
        for backend, device in (("one", "cuda"), ("two", "tpu"), ("fake", "cpu"))
    ]
    assert made[0] == made[1] == made[2]
    assert {(each.backend, each.device) for each in reference.opened} == {("fake", "cpu")}


@pytest.mark.parametrize("changes", [{"seed": 1}, {"batch_size": 9}])
def test_another_seed_or_size_is_another_batch_of_the_same_weights(
    tmp_path: Path, task: Task, reference: Counting, cell: Cell, changes: dict[str, int]
) -> None:
    first = ensure(tmp_path, task, cell, reference)
    second = ensure(tmp_path, task, msgspec.structs.replace(cell, **changes), reference)
    assert second.weights == first.weights
    assert second.batch_hash != first.batch_hash
    assert second.folder != first.folder
    assert not np.array_equal(first.rows()["features"], second.rows()["features"])
    assert reference.made == 1


def test_another_precision_has_a_reference_of_its_own(
    tmp_path: Path, task: Task, reference: Counting, cell: Cell
) -> None:
    first = ensure(tmp_path, task, cell, reference)
    second = ensure(tmp_path, task, msgspec.structs.replace(cell, precision="bf16"), reference)
    assert second.batch_hash == first.batch_hash
    assert second.folder != first.folder
    assert [each.precision for each in reference.opened] == ["fp64", "fp32", "fp64", "bf16"]


def test_another_recipe_or_version_is_other_weights(tmp_path: Path, task: Task, reference: Counting) -> None:
    assert task.recipe is not None
    recipe = replace(task, recipe=msgspec.structs.replace(task.recipe, epochs=task.recipe.epochs + 1))
    paths = {
        prepare.ensure_weights(tmp_path, each, make_cell(), {}, reference, lambda fraction: None, [])
        for each in (task, task, recipe, replace(task, version=task.version + 1))
    }
    assert len(paths) == reference.made == 3


def test_trained_weights_need_a_recipe_and_generation_needs_prompts(
    tmp_path: Path, task: Task, reference: Counting
) -> None:
    with pytest.raises(ValueError, match="no recipe to train its small weights"):
        ensure(tmp_path, replace(task, recipe=None), make_cell(), reference)
    with pytest.raises(ValueError, match="no prompts"):
        prepare.make_rows(task, make_cell(scenario="generate"), {})
    assert reference.made == 0


def test_prompts_are_the_rows_of_a_generation(task: Task) -> None:
    prompts = {"input_ids": np.arange(12).reshape(4, 3), "new_tokens": np.array(7)}
    prompted = replace(task, prompts=lambda files, preset: prompts)
    rows = prepare.make_rows(prompted, make_cell(scenario="generate", batch_size=2), {})
    assert rows["input_ids"].shape == (BATCHES, 3)
    batches = turned(rows, 2)
    assert [batch["input_ids"].shape for batch in batches] == [(2, 3)] * BATCHES
    assert all(batch["new_tokens"] == 7 for batch in batches)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_batches_of_one_shape_all_differ_and_hold_every_row(task: Task, size: int) -> None:
    rows = prepare.make_rows(task, make_cell(batch_size=size), {})
    batches = turned(rows, size)
    assert [len(batch["features"]) for batch in batches] == [size] * BATCHES
    assert len({batch["features"].tobytes() for batch in batches}) == BATCHES
    held = {row.tobytes() for batch in batches for row in batch["features"]}
    assert held == {row.tobytes() for row in rows["features"]}


def test_batches_are_judged_together_and_what_one_lacks_is_left_out() -> None:
    ones, twos = np.ones((2, 3)), np.full((2, 3), 2.0)
    found = joined([{"y": ones, "z": ones}, {"y": twos}])
    assert found.keys() == {"y"}
    assert found["y"].tolist() == [*ones.tolist(), *twos.tolist()]
    assert joined([{"y": ones}, {"y": twos[:1]}]) == {}


def test_outputs_are_cut_as_their_inputs_are(task: Task) -> None:
    rows = {"x": np.arange(5)}
    squares = turned({"y": rows["x"] ** 2}, 4)
    assert all(np.array_equal(b["x"] ** 2, s["y"]) for b, s in zip(turned(rows, 4), squares, strict=True))


@given(
    shape=st.lists(st.integers(1, 4), max_size=3),
    dtype=st.sampled_from(["float32", "float64", "int64", "uint8", "bool"]),
    turned=st.booleans(),
)
def test_what_is_saved_is_loaded_whatever_its_layout(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], dtype: str, turned: bool
) -> None:
    array = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    array = array.T if turned else array
    path = tmp_path_factory.mktemp("saved") / "new" / "x.safetensors"
    prepared.save_whole({"x": array}, path)
    np.testing.assert_array_equal(load_file(path)["x"], array, strict=True)
    assert set(path.parent.iterdir()) == {path, path.with_name("x.safetensors.sha256")}


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(Exception, match=r"(?i)object"):
        prepared.save_whole(UNSAVABLE, path)
    assert not path.exists()
    prepared.save_whole({"x": np.arange(3)}, path)
    with pytest.raises(Exception, match=r"(?i)object"):
        prepared.save_whole(UNSAVABLE, path)
    np.testing.assert_array_equal(load_file(path)["x"], np.arange(3))


def test_a_save_that_fails_leaves_no_partial_file(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"(?i)object"):
        prepared.save_whole(UNSAVABLE, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def flip(path: Path) -> None:
    """One bit, in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, cut, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("name", ["weights", "batch", "reference", "oracle"])
def test_what_is_damaged_is_named_moved_aside_and_made_anew(
    name: str, damage: Callable[[Path], object], tmp_path: Path, task: Task, reference: Counting, cell: Cell
) -> None:
    made = ensure(tmp_path, task, cell, reference)
    path = made.weights if name == "weights" else made.folder / f"{name}.safetensors"
    whole = path.read_bytes()
    damage(path)
    damaged = path.read_bytes()
    again = ensure(tmp_path, task, cell, reference)
    assert again.moved_aside == [f"{path}.damaged"]
    assert msgspec.structs.replace(again, moved_aside=[]) == made
    assert path.read_bytes() == whole
    assert Path(again.moved_aside[0]).read_bytes() == damaged
    assert ensure(tmp_path, task, cell, reference) == made


def test_what_has_no_seal_is_made_anew_and_not_called_damaged(
    tmp_path: Path, task: Task, reference: Counting, cell: Cell
) -> None:
    made = ensure(tmp_path, task, cell, reference)
    (made.folder / "oracle.safetensors.sha256").unlink()
    reference.opened.clear()
    assert ensure(tmp_path, task, cell, reference) == made
    assert [each.precision for each in reference.opened] == ["fp64"]


@given(count=st.integers(1, 20), size=st.integers(1, 60), seed=st.integers(0, 2**32))
def test_rows_are_spread_evenly_stay_together_and_repeat(count: int, size: int, seed: int) -> None:
    examples = {
        "index": np.arange(count),
        "wide": np.stack([np.arange(count) * 10, np.arange(count)], axis=1),
        "alone": np.array(3),
    }
    drawn = prepare.rows(examples, size, seed)
    assert drawn.keys() == examples.keys()
    assert drawn["index"].shape == (size,)
    assert drawn["wide"].shape == (size, 2)
    assert drawn["alone"] == 3
    np.testing.assert_array_equal(drawn["wide"], np.stack([drawn["index"] * 10, drawn["index"]], axis=1))
    times = np.bincount(drawn["index"], minlength=count)
    assert set(times) <= {size // count, -(-size // count)}
    again = prepare.rows(examples, size, seed)
    assert all(np.array_equal(drawn[name], again[name]) for name in drawn)


def test_rows_are_drawn_by_the_seed() -> None:
    examples = {"index": np.arange(1000)}
    first, second = (prepare.rows(examples, 50, seed)["index"] for seed in (0, 1))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, np.sort(first))


MODULE = "made.up"


def remembered(
    root: Path, task: Task, cell: Cell, reference: Reference, files: Files = MappingProxyType({})
) -> Prepared | None:
    return prepared.remembered(root, task_card(task, MODULE), cell, files, backend_card(reference, MODULE))


@pytest.fixture
def made(tmp_path: Path, task: Task, reference: Counting, cell: Cell) -> Prepared:
    """What is there and noted."""
    found = ensure(tmp_path, task, cell, reference)
    prepared.remember(tmp_path, task_card(task, MODULE), cell, {}, backend_card(reference, MODULE), found)
    return found


def test_what_was_made_is_remembered_without_the_reference(
    tmp_path: Path, task: Task, reference: Counting, cell: Cell, made: Prepared
) -> None:
    reference.opened.clear()
    assert remembered(tmp_path, task, cell, reference) == made
    assert not reference.opened
    on_another = make_cell("another", device="cuda")
    assert remembered(tmp_path, task, on_another, reference) == made
    assert not list((tmp_path / "prepared").glob("*.partial"))


@pytest.mark.parametrize("changes", [{"seed": 1}, {"batch_size": 9}, {"precision": "bf16"}, {"scenario": "generate"}])
def test_another_group_is_not_remembered(
    tmp_path: Path, task: Task, reference: Counting, made: Prepared, changes: dict[str, object]
) -> None:
    assert remembered(tmp_path, task, make_cell(**changes), reference) is None  # type: ignore[arg-type]


def test_another_task_data_or_code_is_not_remembered(
    tmp_path: Path, task: Task, reference: Counting, cell: Cell, made: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(task: Task, files: Files) -> Prepared | None:
        return remembered(tmp_path, task, cell, reference, files)

    assert task.recipe is not None
    recipe = msgspec.structs.replace(task.recipe, epochs=task.recipe.epochs + 1)
    assert of(task, {}) == made
    assert of(replace(task, version=task.version + 1), {}) is None
    assert of(replace(task, recipe=recipe), {}) is None
    assert of(task, {"data": tmp_path}) is None
    monkeypatch.setattr(prepared.environment, "source_hash", lambda *files: "changed")
    assert of(task, {}) is None


def test_weights_that_were_changed_or_lost_are_not_remembered(
    tmp_path: Path, task: Task, reference: Counting, cell: Cell, made: Prepared
) -> None:
    content = made.weights.read_bytes()
    made.weights.write_bytes(content[:-1] + b"\x00")
    assert remembered(tmp_path, task, cell, reference) is None
    made.weights.unlink()
    assert remembered(tmp_path, task, cell, reference) is None


@pytest.mark.parametrize("name", ["batch", "reference", "oracle"])
def test_a_damaged_file_is_not_remembered(
    tmp_path: Path, task: Task, reference: Counting, cell: Cell, made: Prepared, name: str
) -> None:
    flip(made.folder / f"{name}.safetensors")
    assert remembered(tmp_path, task, cell, reference) is None


def test_a_note_of_other_weights_is_not_believed(
    tmp_path: Path, task: Task, reference: Counting, cell: Cell, made: Prepared
) -> None:
    other = msgspec.structs.replace(made, weights_hash="0" * 16)
    prepared.remember(tmp_path, task_card(task, MODULE), cell, {}, backend_card(reference, MODULE), other)
    assert remembered(tmp_path, task, cell, reference) is None


@pytest.mark.parametrize("name", ["batch", "reference", "oracle"])
def test_a_lost_file_is_not_remembered(
    tmp_path: Path, task: Task, reference: Counting, cell: Cell, made: Prepared, name: str
) -> None:
    (made.folder / f"{name}.safetensors").unlink()
    assert remembered(tmp_path, task, cell, reference) is None


@pytest.mark.parametrize("content", [b"", b"{", b"{}"])
def test_a_damaged_note_is_none(
    tmp_path: Path, task: Task, reference: Counting, cell: Cell, made: Prepared, content: bytes
) -> None:
    (note,) = (tmp_path / "prepared").glob("*.json")
    note.write_bytes(content)
    assert remembered(tmp_path, task, cell, reference) is None
