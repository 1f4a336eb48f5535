"""Exported models on the disk: a folder of flat files, and `card.json`, which says what they are and what was proven.

A folder appears whole or not at all. Its card names each file with its sha256: what was changed since, or stands there
and is not named, is refused before anything opens it. That guards against damage, and against no one who writes a card.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from weighbridge.bench.core.card import Name
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.process import Count
from weighbridge.bench.core.record import Parity
from weighbridge.bench.core.task import ModelSpec, Target
from weighbridge.bench.storage import sealed
from weighbridge.bench.storage.files import UNREADABLE, write_whole

CARD, README = "card.json", "README.md"
MOST_BYTES = 2**24
"""Of a card: ours are a few thousand."""


class DamagedExportError(WeighbridgeError):
    """An export whose files are not what its card says."""

    code = 1


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """An input or an output: axis 0 counts rows, of which there may be any number, which is `null` here."""

    name: str
    dtype: str
    sizes: tuple[int | None, ...]


class DataVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A data package that the task takes data or weights from."""

    name: str
    version: str
    sha256: str
    licence: str
    source: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Parity of the reopened files on the fixed rows, so many at a time."""

    rows: int
    parity: Parity


class FileVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What a file was when it was written."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    size_bytes: Count


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """What an export is, and what was proven of it in a process that knew its files alone."""

    schema: Literal[1] = 1
    task: Name
    family: str
    task_version: int
    preset: Name
    source: str
    licence: str
    data: list[DataVersion]
    model: ModelSpec
    weights: str
    """`packaged`, `trained`, `seeded`, or `given` by a user."""
    weights_hash: str
    """16 hex digits of the sha256 of the safetensors file that the reference and this were loaded from."""
    format: Name
    backend: Name
    cell: Cell
    """What the export was proven as: precision, device, batch size, seed."""
    generates: bool
    """Whether the task also generates, by a loop around the forward pass, which is not part of an export."""
    inputs: list[Port]
    outputs: list[Port]
    item: str
    score: dict[str, float | None]
    """Of the reopened files, over the task's whole evaluation split; None where a figure is not finite."""
    target: Target
    baseline: Target
    proofs: list[Proof]
    loading: str
    """Lines of Python for people; nothing here runs them."""
    note: str
    versions: dict[str, str]
    exported: str
    """UTC, ISO 8601."""
    files: dict[Name, FileVersion]

    @property
    def passed(self) -> bool:
        """Whether parity holds at every number of rows."""
        return bool(self.proofs) and all(proof.parity.passed for proof in self.proofs)

    @property
    def size_bytes(self) -> int:
        """Of all files but the card and its text."""
        return sum(file.size_bytes for file in self.files.values())


def ports(arrays: Mapping[str, np.ndarray]) -> list[Port]:
    """Describe a batch."""
    return [
        Port(name=name, dtype=str(array.dtype), sizes=(None, *array.shape[1:]))
        for name, array in sorted(arrays.items())
    ]


def versions_of(folder: Path) -> dict[str, FileVersion]:
    """Describe the files of a folder, which holds nothing else."""
    found = sorted(path for path in folder.iterdir() if path.name not in (CARD, README))
    return {path.name: FileVersion(sha256=sealed.digest(path), size_bytes=path.stat().st_size) for path in found}


def write(folder: Path, card: ModelCard, readme: str) -> None:
    """Writes the card and its text."""
    write_whole(folder / CARD, msgspec.json.format(msgspec.json.encode(card)) + b"\n")
    write_whole(folder / README, readme.encode())


def read(folder: Path) -> ModelCard:
    """The card of a folder; raises WeighbridgeError where there is none, or it cannot be read."""
    path = folder / CARD
    try:
        if path.stat().st_size > MOST_BYTES:
            raise WeighbridgeError(f"{path} is too long to be a card; export anew")
        return msgspec.json.decode(path.read_bytes(), type=ModelCard)
    except (FileNotFoundError, NotADirectoryError):
        raise WeighbridgeError(f"{folder} is no export: it has no {CARD}; name a folder that holds one") from None
    except UNREADABLE as error:
        raise WeighbridgeError(f"{path} cannot be read ({' '.join(str(error).split())}); export anew") from error


def verify(folder: Path, card: ModelCard) -> None:
    """Raises DamagedExportError where a file is not what the card says, lacks, or is not named by it."""
    for name, file in card.files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise DamagedExportError(f"{path} is missing; export anew")
        if path.stat().st_size != file.size_bytes or sealed.digest(path) != file.sha256:
            raise DamagedExportError(f"{path} was changed since it was exported; export anew")
    if strange := _strange(folder, card.files):
        raise DamagedExportError(f"{folder / strange[0]} is no part of this export; remove it, or export anew")


def _strange(folder: Path, known: Iterable[str]) -> list[str]:
    return sorted({path.name for path in folder.iterdir()} - {*known, CARD, README})


@contextmanager
def in_place_of(folder: Path, force: bool) -> Generator[Path]:
    """An empty folder to write to, which takes the place of `folder` at the end, or is gone where writing failed.

    Raises WeighbridgeError where something stands there, unless it is an export that is to be made anew by `force`.
    """
    _refuse(folder, force)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as room:
        made = Path(room, "new")
        made.mkdir()
        yield made
        _swap(made, folder, Path(room, "old"))


def _swap(made: Path, folder: Path, old: Path) -> None:
    if not folder.exists():
        made.rename(folder)
        return
    folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        old.rename(folder)
        raise


def _refuse(folder: Path, force: bool) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise WeighbridgeError(f"{folder} is no folder; choose another --out")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    card = None
    with suppress(WeighbridgeError):
        card = read(folder)
    if card is None or _strange(folder, card.files):
        raise WeighbridgeError(f"{folder} holds other files than an export's; choose another --out")
    if not force:
        raise WeighbridgeError(f"{folder} holds an export already; add --force to make it anew")
