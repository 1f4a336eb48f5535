"""What can be set of work whose shapes change."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from weighbridge.bench.core import settings
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.settings import Settings
from weighbridge.bench.scenarios.varying_shapes.buckets import Strategy


class ShapesSettings(Settings, frozen=True, kw_only=True):
    """Which work, and how its batches are padded."""

    strategy: Literal["", "exact", "one_length", "powers_of_two", "best"] = ""
    """All of them, each a cell of its own, where empty."""
    batches: Annotated[int, Meta(ge=2, le=10**6)] = 40
    """How many batches the work has."""
    passes: Annotated[int, Meta(ge=1, le=10**9)] = 100
    """How often the work will be done: `best` weighs compiling, which is paid once, against it."""
    lengths: Annotated[str, Meta(pattern=r"^(\d{1,7}(,\d{1,7}){0,99})?$")] = ""
    """The buckets of `best`; found by what `exact` gave where empty."""
    pad_rows: bool | None = None
    """Whether rows are filled up to a power of two; where None, if each shape is a program of its own."""

    @property
    def buckets(self) -> list[int]:
        """The lengths, as numbers."""
        return [int(word) for word in self.lengths.split(",") if word]


def of(cell: Cell) -> ShapesSettings:
    """Return the settings of a cell."""
    return settings.of(ShapesSettings, cell.settings)


def strategy(cell: Cell) -> Strategy:
    """Return the strategy of a cell: each has one."""
    return of(cell).strategy or "exact"
