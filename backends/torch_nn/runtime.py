"""What a runtime offers that takes the reference's modules as graphs. Imports no framework.

Shapes: B rows, S positions, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from weighbridge.backends.torch_nn.exporting import Piece, Shape, Source, place, written
from weighbridge.bench.core import Arrays

IDS, TOKEN, LOGITS, PAST = "ids", "token", "logits", "past_"
"""Inputs and outputs of a graph that decodes; keys and values are numbered layer by layer."""
DECODING = "decoding"
OUTPUT = "output_"
"""Before the name of each output in a file: a module of the model may have the name without it."""


class Graph(ABC):
    """A graph that is loaded and ready."""

    @property
    def count(self) -> int:
        """How many programs it is."""
        return 1

    @abstractmethod
    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name, in memory of their own."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What is effective, read back."""


class Decoder(ABC):
    """A graph of one stretch of decoding, and the cache that it goes on with."""

    @property
    def count(self) -> int:
        """How many programs it is."""
        return 1

    @abstractmethod
    def begin(self, rows: int, room: int) -> None:
        """Empties the cache, in which so many positions will lie."""

    @abstractmethod
    def next(self, ids: Any) -> tuple[Any, Any]:
        """Tokens (B, S) behind what was given before to the next one (B, 1) and its logits (B, V)."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What is effective, read back."""


class Runtime(ABC):
    """Makes graphs and runs them."""

    def shape(self, batch: Arrays) -> Shape:
        """What a graph is made for that is to take a batch: any number of rows, where nothing else is said."""
        return Shape.of(batch)

    def next_shape(self, known: Sequence[Shape], asked: Shape) -> Shape:
        """What the next graph is made for, where none that is known takes what is asked for: any size that varied."""
        return known[0].widened(asked) if known else asked

    @abstractmethod
    def graph(self, source: Source, piece: Piece) -> Graph:
        """A piece of a model, ready to run."""

    @abstractmethod
    def decoder(self, source: Source) -> Decoder:
        """A model that decodes, ready to run."""

    def has_decoder(self, source: Source) -> bool:
        """Whether that is kept, so that the model need not be imported."""
        return False

    @abstractmethod
    def put(self, array: np.ndarray) -> Any:
        """Host -> where the runtime wants it."""

    @abstractmethod
    def get(self, value: Any) -> np.ndarray:
        """The same, back."""

    def wait(self, value: Any) -> None:
        """Until a value is there; most are when `run` returns."""
        return


class FileRuntime(Runtime):
    """One whose graphs are files, each written once."""

    name: ClassVar[str]
    """Tells its files from another's."""

    @property
    @abstractmethod
    def versions(self) -> list[str]:
        """Of what writes them."""

    @abstractmethod
    def write(self, program: Any, inputs: Sequence[str], outputs: Sequence[str], folder: Path) -> None:
        """Writes an ExportedProgram."""

    @abstractmethod
    def load_decoder(self, folder: Path) -> Decoder:
        """What was written there."""

    def place(self, source: Source, key: object) -> Path:
        """The folder of a piece."""
        return place([self.name, *self.versions, source.digest, key])

    def exported(self, source: Source, piece: Piece) -> Path:
        """The folder of a piece, written where it was not yet."""
        if source.folder:
            return source.folder
        return written(self.place(source, piece.shape), partial(self.write_piece, piece))

    def write_piece(self, piece: Piece, folder: Path) -> None:
        """Write a piece as a file of this runtime."""
        from weighbridge.backends.torch_nn import tracing

        program, outputs = tracing.exported(piece.build(), piece)
        self.write(program, piece.names, [OUTPUT + name for name in outputs], folder)

    def decoder(self, source: Source) -> Decoder:
        """Loaded from its file, written where it was not yet."""

        def write(folder: Path) -> None:
            from weighbridge.backends.torch_nn import tracing

            program, inputs, outputs = tracing.decoding(source.module)
            self.write(program, inputs, [OUTPUT + name for name in outputs], folder)

        return self.load_decoder(written(self.place(source, DECODING), write))

    def has_decoder(self, source: Source) -> bool:
        """Whether it was exported."""
        return self.place(source, DECODING).exists()
