"""What the reference leaves for all others: weights, a fixed batch, and its float32 and float64 outputs.

Safetensors files in the user's cache, named by the hash of what went into them, written whole or not at all, and
sealed: every run holds them against the hash of what was written before it believes them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
from safetensors.numpy import load_file, save_file

from bench.core.arrays import Arrays, Files, content_hash
from bench.core.card import BackendCard, TaskCard
from bench.core.cell import Cell
from bench.measure import environment
from bench.storage import sealed


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """Where what a group was prepared lies, and the hashes by which a record names them."""

    weights: Path
    weights_hash: str
    folder: Path
    batch_hash: str
    moved_aside: list[str] = []
    """Files that were found damaged as these were made; they have been made anew."""

    def complete(self) -> bool:
        """Whether every file is there, and is what was written."""
        names = ("batch", "reference", "oracle")
        files = [self.weights, *(self.folder / f"{name}.safetensors" for name in names)]
        return all(map(sealed.is_whole, files)) and file_hash(self.weights) == self.weights_hash

    def rows(self) -> Arrays:
        """The fixed rows that every backend of the group is fed."""
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


def _memo_path(root: Path, task: TaskCard, cell: Cell, files: Files, reference: BackendCard) -> Path:
    group = msgspec.structs.replace(cell, backend=reference.name, device="cpu")
    names = {name: str(folder) for name, folder in files.items()}
    code = environment.source_hash(*task.code, *reference.code)
    recipe = [task.version, task.models[cell.preset], task.recipe, names, code]
    return root / "prepared" / f"{content_hash([group, recipe])}.json"


def remembered(root: Path, task: TaskCard, cell: Cell, files: Files, reference: BackendCard) -> Prepared | None:
    """A group's prepared files where this very code has made them before, found without starting a framework."""
    path = _memo_path(root, task, cell, files, reference)
    if not sealed.is_whole(path):
        return None
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Prepared, dec_hook=_path)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.complete() else None


def remember(root: Path, task: TaskCard, cell: Cell, files: Files, reference: BackendCard, made: Prepared) -> None:
    """Notes a group's prepared files for `remembered`."""
    noted = msgspec.structs.replace(made, moved_aside=[])
    sealed.write(_memo_path(root, task, cell, files, reference), msgspec.json.encode(noted, enc_hook=str))


def _path(kind: type, value: Any) -> Any:
    return kind(value)


def save_whole(arrays: Arrays, path: Path) -> None:
    """Writes `path` in one step, sealed: a reader sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    os.close(handle)
    try:
        save_file({key: np.asarray(value, order="C") for key, value in arrays.items()}, name)
        sealed.put(Path(name), path)
    finally:
        Path(name).unlink(missing_ok=True)


def file_hash(path: Path) -> str:
    """16 hex digits of the sha256 of a file."""
    return sealed.digest(path)[:16]
