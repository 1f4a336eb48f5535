"""What the reference leaves for all others: weights, a fixed batch, and its float32 and float64 outputs.

Safetensors files in the user's cache, named by the hash of what went into them, written whole or not at all.
"""

from __future__ import annotations

import hashlib
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
from bench.storage.files import write_whole


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """Where what a group was prepared lies, and the hashes by which a record names them."""

    weights: Path
    weights_hash: str
    folder: Path
    batch_hash: str

    def complete(self) -> bool:
        """Whether every file is there."""
        names = ("batch", "reference", "oracle")
        return self.weights.exists() and all((self.folder / f"{name}.safetensors").exists() for name in names)

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


class Memo(msgspec.Struct, frozen=True, kw_only=True):
    """What was made before, and the size and time of change of their weights file."""

    prepared: Prepared
    weights_stamp: tuple[int, int]


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _memo_path(root: Path, task: TaskCard, cell: Cell, files: Files, reference: BackendCard) -> Path:
    group = msgspec.structs.replace(cell, backend=reference.name, device="cpu")
    names = {name: str(folder) for name, folder in files.items()}
    code = environment.source_hash(*task.code, *reference.code)
    recipe = [task.version, task.models[cell.preset], task.recipe, names, code]
    return root / "prepared" / f"{content_hash([group, recipe])}.json"


def remembered(root: Path, task: TaskCard, cell: Cell, files: Files, reference: BackendCard) -> Prepared | None:
    """A group's prepared files where this very code has made them before, found without starting a framework."""
    try:
        memo = msgspec.json.decode(
            _memo_path(root, task, cell, files, reference).read_bytes(), type=Memo, dec_hook=_path
        )
        there = memo.prepared.complete() and _stamp(memo.prepared.weights) == memo.weights_stamp
    except (OSError, msgspec.DecodeError):
        return None
    return memo.prepared if there else None


def remember(root: Path, task: TaskCard, cell: Cell, files: Files, reference: BackendCard, made: Prepared) -> None:
    """Notes a group's prepared files for `remembered`."""
    path = _memo_path(root, task, cell, files, reference)
    memo = Memo(prepared=made, weights_stamp=_stamp(made.weights))
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
