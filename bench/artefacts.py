"""What the reference leaves for all others: weights, a fixed batch, and its float32 and float64 outputs.

Safetensors files in the user's cache, named by the hash of what went into them, written whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
from safetensors.numpy import load_file, save_file

from bench.core.arrays import Arrays, Files, arrays_hash, content_hash
from bench.core.backend import Reference, Session, Training
from bench.core.cell import Cell
from bench.core.task import Examples, Task, Trained
from bench.files import write_whole
from bench.measure import environment


class Artefacts(msgspec.Struct, frozen=True, kw_only=True):
    """Where the artefacts of a group lie, and the hashes by which a record names them."""

    weights: Path
    weights_hash: str
    folder: Path
    batch_hash: str

    def complete(self) -> bool:
        """Whether every file is there."""
        names = ("batch", "reference", "oracle")
        return self.weights.exists() and all((self.folder / f"{name}.safetensors").exists() for name in names)

    def rows(self) -> Arrays:
        """The fixed rows that every backend of the group is fed, cut into batches by `turned`."""
        return load_file(self.folder / "batch.safetensors")

    def reference(self) -> Arrays:
        """The reference's outputs on those rows at the cell's precision."""
        return load_file(self.folder / "reference.safetensors")

    def oracle(self) -> Arrays:
        """The reference's outputs on those rows in float64."""
        return load_file(self.folder / "oracle.safetensors")


@contextmanager
def compile_cache(root: Path) -> Generator[Path]:
    """An empty folder: what is called cold must not find an earlier run's programs.

    Its name holds this process's number, so that what a killed run left behind is swept by the next one.
    """
    root.mkdir(parents=True, exist_ok=True)
    for left in root.glob("compiled-*-*"):
        if not psutil.pid_exists(int(left.name.split("-")[1])):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"compiled-{os.getpid()}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Memo(msgspec.Struct, frozen=True, kw_only=True):
    """Artefacts that were made before, and the size and time of change of their weights file."""

    artefacts: Artefacts
    weights_stamp: tuple[int, int]


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _memo_path(root: Path, task: Task, cell: Cell, files: Files, reference: Reference) -> Path:
    group = msgspec.structs.replace(cell, backend=reference.name, device="cpu")
    names = {name: str(folder) for name, folder in files.items()}
    code = environment.source_hash(environment.module_file(task.data), *environment.package_files(type(reference)))
    recipe = [task.version, task.models[cell.preset], task.recipe, names, code]
    return root / "prepared" / f"{content_hash([group, recipe])}.json"


def remembered(root: Path, task: Task, cell: Cell, files: Files, reference: Reference) -> Artefacts | None:
    """A group's artefacts where this very code has made them before, found without starting a framework."""
    try:
        memo = msgspec.json.decode(
            _memo_path(root, task, cell, files, reference).read_bytes(), type=Memo, dec_hook=_path
        )
        there = memo.artefacts.complete() and _stamp(memo.artefacts.weights) == memo.weights_stamp
    except (OSError, msgspec.DecodeError):
        return None
    return memo.artefacts if there else None


def remember(root: Path, task: Task, cell: Cell, files: Files, reference: Reference, made: Artefacts) -> None:
    """Notes a group's artefacts for `remembered`."""
    path = _memo_path(root, task, cell, files, reference)
    memo = Memo(artefacts=made, weights_stamp=_stamp(made.weights))
    write_whole(path, msgspec.json.encode(memo, enc_hook=str))


def _path(kind: type, value: Any) -> Any:
    return kind(value)


def save_whole(arrays: Arrays, path: Path) -> None:
    """Writes `path` in one step: a reader sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    os.close(handle)
    try:
        save_file({key: np.asarray(value, order="C") for key, value in arrays.items()}, name)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def file_hash(path: Path) -> str:
    """16 hex digits of the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def rows(examples: Mapping[str, np.ndarray], size: int, seed: int) -> Arrays:
    """`size` rows drawn by `seed`, repeated where there are fewer; arrays without axis 0 are kept as they are."""
    count = max(len(array) for array in examples.values() if array.ndim)
    order = np.random.default_rng(seed).permutation(count)
    chosen = np.resize(order, size)
    return {name: array[chosen] if array.ndim else array for name, array in examples.items()}


BATCHES = 3
"""Steps take turns through as many batches of one shape: who remembers an answer must not be timed remembering it."""


def make_rows(task: Task, cell: Cell, files: Files) -> Arrays:
    """The fixed rows of a cell's group: a batch, and where that is small, as many rows as there are batches."""
    count = max(cell.batch_size, BATCHES)
    if cell.scenario == "generate":
        if task.prompts is None:
            raise ValueError(f"task {task.name} has no prompts to generate from")
        return rows(task.prompts(files, cell.preset), count, cell.seed)
    return rows(task.data(files, "eval", cell.preset).inputs, count, cell.seed)


def turned(arrays: Arrays, size: int) -> list[Arrays]:
    """Batches of `size` rows, each of which begins a row later; of inputs, or of outputs on them."""
    count = max(len(array) for array in arrays.values() if array.ndim)
    starts = [np.arange(start, start + size) % count for start in range(BATCHES)]
    return [{name: array[chosen] if array.ndim else array for name, array in arrays.items()} for chosen in starts]


def joined(batches: Sequence[Arrays]) -> Arrays:
    """Outputs of several batches as one; those that some batch lacks, or has in another shape, are left out."""
    names = [name for name in batches[0] if len({each[name].shape for each in batches if name in each}) == 1]
    return {name: np.concatenate([each[name] for each in batches]) for name in names if all(name in b for b in batches)}


def ensure_weights(
    root: Path, task: Task, cell: Cell, files: Files, reference: Reference, progress: Callable[[float], None]
) -> Path:
    """The weights file of a cell's model; made now where the cache does not hold it."""
    model = task.models[cell.preset]
    trained = isinstance(model.weights, Trained)
    key = content_hash([reference.name, task.name, task.version, model, task.recipe if trained else None])
    path = root / "weights" / f"{task.name}-{cell.preset}-{key}.safetensors"
    if not path.exists():
        save_whole(reference.weights(model, files, _training(task, cell, files, progress) if trained else None), path)
    return path


def _training(task: Task, cell: Cell, files: Files, progress: Callable[[float], None]) -> Training:
    weights = task.models[cell.preset].weights
    if task.recipe is None or not isinstance(weights, Trained):
        raise ValueError(f"task {task.name} has no recipe to train its {cell.preset} weights by")
    examples: Examples = task.data(files, "train", cell.preset)
    return Training(loss=task.loss, recipe=task.recipe, examples=examples, seed=weights.seed, progress=progress)


def ensure(
    root: Path, task: Task, cell: Cell, files: Files, reference: Reference, progress: Callable[[float], None]
) -> Artefacts:
    """All artefacts of a cell's group; what the cache does not hold is made now, by the reference, on the CPU."""
    weights = ensure_weights(root, task, cell, files, reference, progress)
    weights_hash = file_hash(weights)
    batch = make_rows(task, cell, files)
    batch_hash = arrays_hash(batch)
    on_cpu = msgspec.structs.replace(cell, backend=reference.name, device="cpu")
    model = task.models[cell.preset]
    key = content_hash([reference.name, model, weights_hash, batch_hash, cell.scenario, cell.precision, FORM])
    folder = root / "oracle" / f"{task.name}-{cell.preset}-{key}"
    for name, precision in (("oracle", "fp64"), ("reference", cell.precision)):
        if not (folder / f"{name}.safetensors").exists():
            session = reference.open(model, weights, msgspec.structs.replace(on_cpu, precision=precision))
            asked, most_rows = batch, ORACLE_ROWS
            if name == "reference":
                most_rows = min(ORACLE_ROWS, cell.batch_size)
                if cell.scenario == "generate":
                    asked = followed(batch, load_file(folder / "oracle.safetensors"))
            save_whole(outputs_of(session, asked, most_rows), folder / f"{name}.safetensors")
    if not (folder / "batch.safetensors").exists():
        save_whole(batch, folder / "batch.safetensors")
    return Artefacts(weights=weights, weights_hash=weights_hash, folder=folder, batch_hash=batch_hash)


FORM = "the oracle's tokens followed; the reference by batches of the cell's size"
"""Part of the key: outputs that were made otherwise lie in the cache under another. The reference's own error is the
yardstick, and it is another one in larger batches."""


def followed(batch: Arrays, oracle: Arrays) -> Arrays:
    """A batch on which a generation is fed the oracle's tokens: logits are compared of one text (measuring rule 32)."""
    return {**batch, "follow": oracle["tokens"]}


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
    y = session.step(session.put(batch))
    session.sync(y)
    return session.get(y)
