"""Reference modules as graphs for other runtimes: what they are kept under, and who makes them.

A graph takes its inputs in order of name and any number of rows. It is kept in the run's folder of compiled programs,
so that a process that finds it there imports no torch, and its memory is the runtime's own.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import numpy as np

from weighbridge.bench.core import Cell, ModelSpec
from weighbridge.bench.core.arrays import Arrays, content_hash

FOLDER = "WEIGHBRIDGE_KEPT"
"""Variable of a worker: where it keeps what later processes of its cell find."""
MAKERS = ("torch", "timm", "transformers", "diffusers")
"""Distributions whose code a graph is made of."""
NAMES = "Names of outputs begin with output_ in the file, where a part of the model may have the name without it."
REQUIRES = ("torch", "timm", "transformers")


class Shape(NamedTuple):
    """What a graph takes: names, dtypes and sizes of its inputs; None for a size that may be any."""

    inputs: tuple[tuple[str, str, tuple[int | None, ...]], ...]

    @classmethod
    def of(cls, batch: Mapping[str, np.ndarray]) -> Shape:
        """That of a batch, with any number of rows."""
        return cls(tuple((name, str(batch[name].dtype), (None, *batch[name].shape[1:])) for name in sorted(batch)))

    @classmethod
    def exactly(cls, batch: Mapping[str, np.ndarray]) -> Shape:
        """That of a batch, with as many rows."""
        return cls(tuple((name, str(batch[name].dtype), batch[name].shape) for name in sorted(batch)))

    @property
    def free(self) -> list[tuple[int, ...]]:
        """Of each input, the axes that may have any size."""
        return [tuple(axis for axis, size in enumerate(sizes) if size is None) for _, _, sizes in self.inputs]

    def takes(self, other: Shape) -> bool:
        """Whether a batch of the other shape is one of this, too."""
        return self.widened(other) == self

    def widened(self, other: Shape) -> Shape:
        """This shape, with any size where the other differs; the other where they have not the same axes."""
        if [(name, dtype, len(sizes)) for name, dtype, sizes in self.inputs] != [
            (name, dtype, len(sizes)) for name, dtype, sizes in other.inputs
        ]:
            return other
        return Shape(
            tuple(
                (name, dtype, tuple(ours if ours == its else None for ours, its in zip(sizes, others, strict=True)))
                for (name, dtype, sizes), (_, _, others) in zip(self.inputs, other.inputs, strict=True)
            )
        )


class Piece(NamedTuple):
    """What of a model is to be a graph: a module that is built only where it must be, and a batch that it takes."""

    batch: Arrays
    """Its inputs, in order of name."""
    shape: Shape
    build: Callable[[], Any]
    """A module from tensors in that order to a dictionary of tensors."""

    @property
    def names(self) -> list[str]:
        """Of its inputs."""
        return sorted(self.batch)


class Source:
    """A model that can be exported: nothing is built before it must."""

    folder: Path | None = None
    """Where its graph lies already, for any number of rows; None where it is to be made."""

    def __init__(self, model: ModelSpec, weights: Path, cell: Cell) -> None:
        self.model, self.weights, self.cell = model, weights, msgspec.structs.replace(cell, device="cpu")

    @cached_property
    def digest(self) -> str:
        """Of the weights, the model around them, and the versions of whose code it is made."""
        with self.weights.open("rb") as file:
            weights = hashlib.file_digest(file, "sha256").hexdigest()
        versions = [metadata.version(name) for name in MAKERS]
        return content_hash([weights, self.model.architecture, self.model.config, self.cell.precision, versions])

    @cached_property
    def module(self) -> Any:
        """The module with its weights, on the CPU."""
        from weighbridge.backends.torch_nn.loading import load

        return load(self.model, self.weights, self.cell)

    def release(self) -> None:
        """Gives the module back."""
        vars(self).pop("module", None)


class Given(Source):
    """A model of which there is nothing but a graph in a folder."""

    def __init__(self, folder: Path, model: ModelSpec, cell: Cell) -> None:
        super().__init__(model, folder, cell)
        self.folder = folder


@cache
def folder() -> Path:
    """What the run keeps; outside of a run what this process keeps until it ends."""
    if given := os.environ.get(FOLDER):
        return Path(given)
    ours = TemporaryDirectory()
    atexit.register(ours.cleanup)
    return Path(ours.name)


def place(key: object) -> Path:
    """The folder under this key among what is kept."""
    return folder() / content_hash(key)


def written(place: Path, write: Callable[[Path], None]) -> Path:
    """The same folder, filled by `write` where it is not there: whole or not at all."""
    if not place.exists():
        unfinished = place.with_suffix(f".{os.getpid()}")
        unfinished.mkdir(parents=True)
        try:
            write(unfinished)
            unfinished.rename(place)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return place


def imports(model: ModelSpec, *exporters: str) -> tuple[str, ...]:
    """What a worker imports to export a model; nothing where a process of this run has done it."""
    if any(folder().glob("*")):
        return ()
    from weighbridge.backends.torch_nn import models

    return ("torch", "torch.export", *exporters, models.library(model))


OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def variables(cache: Path) -> dict[str, str]:
    """The environment of a worker that exports: a folder for graphs, and no hub is asked."""
    return {FOLDER: str(cache / "kept"), **OFFLINE}
