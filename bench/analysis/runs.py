"""What belongs to a whole run: its reference, its name, whether it failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.record import Record
from weighbridge.bench.run import cards
from weighbridge.bench.storage import journals, request

FAILURES = ("oom", "timeout", "crashed", "parity_failed", "implausible")


def reference_of(journal: Path) -> str:
    """What the run was asked; else the backend with the most records that can be one, by the first ten thousand."""
    asked = request.read(journal)
    if asked and isinstance(beside := asked.options.get("reference"), str) and beside:
        return beside
    counts = Counter(cell.backend for cell in islice(journals.cells(journal), 10_000))
    if not counts:
        raise WeighbridgeError(f"{journal} holds no record that this version can read")
    known = cards.backends()
    able = [name for name in counts if name in known and known[name].reference]
    if not able:
        raise WeighbridgeError("these records hold no reference; name one with --reference")
    return max(able, key=lambda name: counts[name])


def failed(records: Sequence[Record], asked: Sequence[str]) -> bool:
    """Whether a cell failed, or one of a backend that was asked for by name was skipped: it must not vanish."""
    return any(
        record.status in FAILURES or (record.status == "skipped" and record.cell.backend in asked) for record in records
    )
