"""The run that a machine's later runs are held against: results/baselines/<machine>.jsonl, one file to commit."""

from __future__ import annotations

import re
from pathlib import Path

from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure import environment
from weighbridge.bench.storage import coding, journals, lines

HOME = Path("results/baselines")


def path(machine: str = "") -> Path:
    """Return where the baseline of a machine is kept; of this one where none is named."""
    name = machine or environment.machine_name()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise WeighbridgeError(f"a machine's name is letters, digits, dots and dashes, not {name!r}")
    return HOME / f"{name}.jsonl"


def found(machine: str = "") -> Path:
    """The baseline that is there; raises WeighbridgeError, with what to type, where it is not."""
    file = path(machine)
    if not file.is_file():
        raise WeighbridgeError(f"no baseline {file}; type: weighbridge baseline set RUN, or compare BEFORE AFTER")
    return file


def keep(run: Path, machine: str = "") -> tuple[Path, list[Record]]:
    """Makes a run the baseline, in the place of the one before, whole or not at all; the file and its records."""
    file = path(machine)
    records = journals.load(run)
    if not any(record.status == "ok" for record in records):
        raise WeighbridgeError(f"no cell of {run} is ok; a baseline of failures guards nothing")
    file.parent.mkdir(parents=True, exist_ok=True)
    lines.replace(file, [coding.encoder.encode(record) for record in records])
    return file, records
