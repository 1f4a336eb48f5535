"""What this machine can do at most: a large matrix product for each precision, and a large copy, by the reference.

Both are work of the reference's own framework, timed by `bench.measure.clock` in a process of its own; the best of the
repetitions counts, since a peak is what nothing disturbed (Williams, Waterman & Patterson, "Roofline", CACM 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench import registry
from bench.beside import beside
from bench.core.cell import Cell, Device, Precision
from bench.core.record import Peaks
from bench.measure import allocator, environment
from bench.measure.peaks import best
from bench.process import thread_variables


def measured(reference: str, cell: Cell, precisions: Sequence[Precision]) -> Peaks:
    """Measures in a process of its own, with the environment that a worker of `cell` would have."""
    variables = {**thread_variables(), **allocator.variables("keep"), **registry.reference(reference).env(cell, Path())}
    words = (reference, cell.device, ",".join(precisions))
    with beside(in_process, *words, returns=Peaks, variables=variables) as wait:
        return wait()


def in_process(reference: str, device: Device, precisions: str) -> Peaks:
    """Measures here; imports the reference's framework."""
    backend = registry.reference(reference)
    wanted = msgspec.convert(precisions.split(","), list[Precision])
    return Peaks(
        machine=environment.machine_name(),
        device=device,
        bytes_per_s=best(backend.large_copy(device)),
        flops_per_s={precision: best(backend.large_product(precision, device)) for precision in wanted},
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
        by=reference,
    )
