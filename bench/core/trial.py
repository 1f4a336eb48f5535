"""What the records of studies have in common."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

import msgspec

from bench.core.arrays import Facts
from bench.core.cell import Cell, Status
from bench.core.record import Parity, Provenance

SCHEMA = 1
"""Version of a trial. Lines of before it was written down are of the first."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What every study's record holds; a study adds its own fields."""

    schema: int = SCHEMA
    cell: Cell
    status: Status
    reason: str = ""
    parity: Parity | None = None
    first_s: float | None = None
    """Seconds of the first step, with compilation where there is any; None where a study begins cold."""
    facts: Facts = {}
    environment: Facts = {}
    about: Provenance | None = None
    started: str = ""
    wall_s: float = 0.0

    @property
    def key(self) -> Hashable:
        """What tells trials of a journal apart."""
        return self.cell


T = TypeVar("T", bound=Trial)
