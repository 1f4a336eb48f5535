"""Journals of studies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from bench.core.errors import WeighbridgeError
from bench.core.trial import SCHEMA, T
from bench.storage.journals import mend_by, read_by


def load(path: Path, kind: type[T]) -> list[T]:
    """The records of a study's journal, the last one of each key. Raises WeighbridgeError where a line is none."""
    trials, damaged = read_by(path, partial(_parsed, kind))
    if damaged:
        raise WeighbridgeError(
            f"{path}: {len(damaged)} of its lines cannot be read; type the same command with --resume to set them aside"
        )
    return _latest(trials)


def mend(path: Path, kind: type[T]) -> tuple[list[T], Path | None]:
    """The records of a study's journal as `load` gives them, and the file in which damaged lines were set aside."""
    trials, aside = mend_by(path, partial(_parsed, kind))
    return _latest(trials), aside


def _latest(trials: Sequence[T]) -> list[T]:
    return list({trial.key: trial for trial in trials}.values())


def _parsed(kind: type[T], line: bytes) -> T | None:
    try:
        trial = msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return trial if trial.schema <= SCHEMA else None
