"""What cannot be in a record, since another field of it says otherwise: refused where it is read, never believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from weighbridge.bench.measure.noise import LOADED_FLOOR


class Proof(Protocol):
    """Parity, as far as it says whether it was shown."""

    @property
    def ratio(self) -> float | None: ...

    @property
    def limit(self) -> float: ...

    @property
    def passed(self) -> bool: ...


class Floor(Protocol):
    """How noisy a machine was."""

    @property
    def floor(self) -> float: ...

    @property
    def calibrated(self) -> str: ...


class Judged(Protocol):
    """What decides of a record, whole or in brief."""

    @property
    def parity(self) -> Proof | None: ...

    @property
    def noise(self) -> Floor | None: ...


def contradiction(record: Judged) -> str:
    """Say in what a record contradicts itself; empty where in nothing."""
    return next((told for check in CHECKS if (told := check(record))), "")


def _parity(record: Judged) -> str:
    found = record.parity
    if found is None or not found.passed or (found.ratio is not None and found.ratio <= found.limit):
        return ""
    return f"parity is said to have passed with {found.ratio} of {found.limit:g}"


def _noise(record: Judged) -> str:
    found = record.noise
    if found is None or found.calibrated or found.floor <= LOADED_FLOOR:
        return ""
    return f"a noise floor of {found.floor:g} that nobody calibrated"


CHECKS: tuple[Callable[[Judged], str], ...] = (_parity, _noise)
