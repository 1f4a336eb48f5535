"""What this machine can do at most: a large matrix product for each precision, and a large copy, by the reference.

Both are work of the reference's own framework, timed by `bench.measure.clock` in a process of its own; the best of the
repetitions counts, since a peak is what nothing disturbed (Williams, Waterman & Patterson, "Roofline", CACM 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import msgspec

from weighbridge.bench.core import errors
from weighbridge.bench.core.card import BackendCard
from weighbridge.bench.core.cell import Cell, Device, Precision
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.record import Peaks
from weighbridge.bench.measure import allocator, environment
from weighbridge.bench.measure.peaks import best
from weighbridge.bench.run import cards, peaks, registry
from weighbridge.bench.run.alongside import alongside
from weighbridge.bench.run.process import thread_variables
from weighbridge.bench.storage import known_peaks, packages


def measure_peaks(reference: str, device: str, precisions: Sequence[str]) -> Peaks:
    """Measures this machine's peaks and keeps them; raises WeighbridgeError where a name is unknown or cannot run."""
    card, known = cards.reference(reference), get_args(Precision)
    if device not in get_args(Device):
        raise errors.unknown("device", device, get_args(Device))
    if not precisions:
        raise WeighbridgeError(f"--precisions names none; choose from {', '.join(known)}")
    for precision in precisions:
        if precision not in known:
            raise errors.unknown("precision", precision, known)
    cells = [_peak_cell(reference, device, precision) for precision in precisions]
    for cell in cells:
        if bar := cards.why_not(card, cell):
            raise WeighbridgeError(bar)
    if not environment.has_device(cells[0].device):
        raise WeighbridgeError(f"this machine shows no {device} device; choose --device cpu")
    found = peaks.measured(card, cells[0], [cell.precision for cell in cells])
    known_peaks.save(packages.cache_folder(), found)
    return found


def _peak_cell(reference: str, device: str, precision: str) -> Cell:
    fields = {"device": device, "precision": precision, "backend": reference, "task": "", "preset": ""}
    return msgspec.convert({**fields, "scenario": "infer", "batch_size": 1}, Cell)


def measured(card: BackendCard, cell: Cell, precisions: Sequence[Precision]) -> Peaks:
    """Measures in a process of its own, with the environment that a worker of `cell` would have."""
    variables = {**thread_variables(), **allocator.variables("keep"), **cards.variables(card, cell, Path())}
    words = (card.module, card.name, cell.device, ",".join(precisions))
    with alongside(in_process, *words, returns=Peaks, variables=variables) as wait:
        return wait()


def in_process(module: str, reference: str, device: Device, precisions: str) -> Peaks:
    """Measures here; imports the reference's framework."""
    backend = registry.reference(module, reference)
    wanted = msgspec.convert(precisions.split(","), list[Precision])
    return Peaks(
        machine=environment.machine_name(),
        device=device,
        bytes_per_s=best(backend.large_copy(device)),
        flops_per_s={precision: best(backend.large_product(precision, device)) for precision in wanted},
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
        by=reference,
    )
