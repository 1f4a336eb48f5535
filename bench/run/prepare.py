"""What the reference computes for all: weights, rows, outputs in float32 and float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np
from safetensors.numpy import load_file

from weighbridge.bench.core.arrays import Arrays, Files, arrays_hash, content_hash
from weighbridge.bench.core.backend import Reference, Session, Training
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.task import Examples, ModelSpec, Packaged, Task, Trained
from weighbridge.bench.scenarios.catalog import as_opened, scenario
from weighbridge.bench.scenarios.steps.batches import BATCHES
from weighbridge.bench.storage import sealed
from weighbridge.bench.storage.prepared import GIVEN, Prepared, file_hash, save_whole


def rows(examples: Mapping[str, np.ndarray], size: int, seed: int) -> Arrays:
    """`size` rows drawn by `seed`, repeated where there are fewer; arrays without axis 0 are kept as they are."""
    count = max(len(array) for array in examples.values() if array.ndim)
    order = np.random.default_rng(seed).permutation(count)
    chosen = np.resize(order, size)
    return {name: array[chosen] if array.ndim else array for name, array in examples.items()}


def make_rows(task: Task, cell: Cell, files: Files) -> Arrays:
    """The fixed rows of a cell's group: a batch, and where that is small, as many rows as there are batches."""
    count = max(cell.batch_size, BATCHES)
    return rows(scenario(cell.scenario).examples(task, files, cell), count, cell.seed)


def ensure_weights(
    root: Path,
    task: Task,
    cell: Cell,
    files: Files,
    reference: Reference,
    progress: Callable[[float], None],
    moved_aside: list[str],
) -> Path:
    """The weights file of a cell's model; made now where the cache does not hold it. What is damaged is told."""
    model = _model(task, cell, files)
    trained = isinstance(model.weights, Trained)
    recipe = task.recipe if trained else None
    key = content_hash([reference.name, task.name, task.version, model, recipe, *filter(None, [cell.weights])])
    path = root / "weights" / f"{task.name}-{cell.preset}-{key}.safetensors"
    if _lacks(path, moved_aside):
        training = _training(task, cell, files, progress) if trained else None
        save_whole(reference.weights(model, _folders(files), training), path)
    return path


def _model(task: Task, cell: Cell, files: Files) -> ModelSpec:
    """The cell's model; with the weights of the file that was given, where one was."""
    model = task.models[cell.preset]
    if not cell.weights:
        return model
    return msgspec.structs.replace(model, weights=Packaged(GIVEN, files[GIVEN].name))


def _folders(files: Files) -> Files:
    return {name: path.parent if name == GIVEN else path for name, path in files.items()}


def _lacks(path: Path, moved_aside: list[str]) -> bool:
    """Whether a file is to be made; one that is damaged is moved aside and named."""
    moved_aside += sealed.set_aside(path)
    return not sealed.is_whole(path)


def _training(task: Task, cell: Cell, files: Files, progress: Callable[[float], None]) -> Training:
    weights = task.models[cell.preset].weights
    if task.recipe is None or not isinstance(weights, Trained):
        raise ValueError(f"task {task.name} has no recipe to train its {cell.preset} weights by")
    examples: Examples = task.data(files, "train", cell.preset)
    return Training(loss=task.loss, recipe=task.recipe, examples=examples, seed=weights.seed, progress=progress)


def ensure(
    root: Path, task: Task, cell: Cell, files: Files, reference: Reference, progress: Callable[[float], None]
) -> Prepared:
    """Make what the cache lacks of a cell's group, by the reference, on the CPU; return where all of it lies."""
    moved_aside: list[str] = []
    weights = ensure_weights(root, task, cell, files, reference, progress, moved_aside)
    weights_hash = file_hash(weights)
    batch = make_rows(task, cell, files)
    batch_hash = arrays_hash(batch)
    on_cpu = msgspec.structs.replace(as_opened(cell), backend=reference.name, device="cpu")
    model = task.models[cell.preset]
    key = content_hash([reference.name, model, weights_hash, batch_hash, on_cpu.scenario, cell.precision, FORM])
    folder = root / "oracle" / f"{task.name}-{cell.preset}-{key}"
    for name, precision in (("oracle", "fp64"), ("reference", cell.precision)):
        if _lacks(folder / f"{name}.safetensors", moved_aside):
            session = reference.open(model, weights, msgspec.structs.replace(on_cpu, precision=precision))
            asked, most_rows = batch, ORACLE_ROWS
            if name == "reference":
                most_rows = min(ORACLE_ROWS, cell.batch_size)
                asked = scenario(cell.scenario).followed(batch, load_file(folder / "oracle.safetensors"))
            save_whole(outputs_of(session, asked, most_rows), folder / f"{name}.safetensors")
    if _lacks(folder / "batch.safetensors", moved_aside):
        save_whole(batch, folder / "batch.safetensors")
    return Prepared(
        weights=weights, weights_hash=weights_hash, folder=folder, batch_hash=batch_hash, moved_aside=moved_aside
    )


FORM = "the oracle's tokens followed; the reference by batches of the cell's size"
"""Part of the key: outputs that were made otherwise lie in the cache under another. The reference's own error is the
yardstick, and it is another one in larger batches."""


ORACLE_ROWS = 64
"""Rows that the oracle takes at a time: in float64 it would need twice the memory of what it is to judge."""


def outputs_of(session: Session, batch: Arrays, most_rows: int = ORACLE_ROWS) -> Arrays:
    """A session's outputs on one batch, on the host; at most so many rows at a time, which are independent."""
    count = max(len(array) for array in batch.values() if array.ndim)
    if count <= most_rows:
        return _outputs(session, batch)
    parts = [
        _outputs(session, {n: array[start : start + most_rows] if array.ndim else array for n, array in batch.items()})
        for start in range(0, count, most_rows)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _outputs(session: Session, batch: Arrays) -> Arrays:
    y = session.step(session.to_device(batch))
    session.sync(y)
    return session.to_host(y)
