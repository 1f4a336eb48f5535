"""Who is told what a run does."""

from __future__ import annotations

from typing import Protocol

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.record import Record


class Watcher(Protocol):
    """Who is told what a run does. The terminal display is one; tests have another."""

    def started(self, cell: Cell) -> None:
        """A cell's turn has come."""

    def prepared(self, cell: Cell, took_s: float) -> None:
        """What the cell's group is held against is on the disk: weights, rows, the outputs of its oracle."""

    def phase(self, name: str) -> None:
        """Hear what its worker does now."""

    def progress(self, fraction: float) -> None:
        """Hear how far that is, 0 to 1, where it can tell."""

    def finished(self, record: Record) -> None:
        """A cell's record is on the disk."""
