"""What the reference leaves for all others: weights, a fixed batch, and its float32 and float64 outputs.

Safetensors files in the user's cache, named by the hash of what went into them, written whole or not at all, and
sealed: every run holds them against the hash of what was written before it believes them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors.numpy import load_file, save_file

from weighbridge.bench.core.arrays import Arrays, Files, content_hash
from weighbridge.bench.core.card import BackendCard, TaskCard
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.measure import environment
from weighbridge.bench.storage import sealed
from weighbridge.bench.storage.files import UNREADABLE

GIVEN = "--weights"
"""Among the folders of data packages: the file whose weights stand in for a task's own."""


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

    It is locked for as long as it is used. What a killed run left behind has no lock any more, and is swept by the
    next one; process numbers would not tell, since containers that share a cache count them each on its own.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _held(root) as sweeping:
        fcntl.flock(sweeping, fcntl.LOCK_EX)
        for left in root.glob("compiled-*"):
            _sweep(left)
        folder = Path(tempfile.mkdtemp(prefix="compiled-", dir=root))
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


@contextmanager
def _held(folder: Path) -> Generator[int]:
    """A folder's descriptor, closed afterwards, with which its lock ends."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


def _sweep(left: Path) -> None:
    """Removes a folder that nobody holds; what is no folder, or not ours to open, stays."""
    with suppress(OSError), _held(left) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(left, ignore_errors=True)


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
    except (OSError, *UNREADABLE):
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
    with sealed.in_place_of(path) as made:
        save_file({key: np.asarray(value, order="C") for key, value in arrays.items()}, made)


def file_hash(path: Path) -> str:
    """16 hex digits of the sha256 of a file."""
    return sealed.digest(path)[:16]
