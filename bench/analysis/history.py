"""Every cell over all runs of a machine, and the runs at which its speed stepped.

Steps are found by ruptures (PELT, Killick et al. 2012) on the logarithms of the runs' medians, by absolute
deviations, under a penalty that grows with the noise from run to run. A step holds for two runs at least: one odd
run is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from weighbridge.bench.analysis import summary
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.record import DEFAULT_FLOOR
from weighbridge.bench.measure import statistics
from weighbridge.bench.storage import journals

FEWEST_RUNS = 4
SHORTEST = 2
PENALTY = 3.0
"""Times sigma times log(runs). Of 200 made-up series of pure noise, at most 3 % show a step, at any length from 4 to
30 runs; a step of 20 % over noise of 1 % is found every time (tests/analysis/test_history.py)."""
MAD_TO_SIGMA = 1.4826


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """From `run` on, a step takes `time_ratio` times what it took before."""

    run: str
    time_ratio: float


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One cell over the runs that have a time of it, oldest first."""

    cell: Cell
    runs: list[str]
    step_s: list[float]
    steps: list[Step]
    note: str = ""


def of(results: Path, machine: str) -> list[Series]:
    """Every cell of a machine that was ever timed."""
    found: dict[Cell, list[tuple[str, summary.Summary]]] = {}
    for name, run in runs(results / machine):
        for cell, each in run.cells.items():
            if each.processes:
                found.setdefault(cell, []).append((name, each))
    if not found:
        known = sorted({path.parent.parent.name for path in results.glob(f"*/*/{journals.JOURNAL}")})
        raise WeighbridgeError(f"no run of {machine!r} in {results}; " + _hint(known))
    return [series(cell, measured) for cell, measured in found.items()]


def _hint(known: list[str]) -> str:
    return f"choose --machine from {', '.join(known)}" if known else "start one with `weighbridge run`"


def runs(home: Path) -> list[tuple[str, summary.Run]]:
    """A machine's runs in the order in which they were started, by the name of their folder."""
    read: list[tuple[str, str, summary.Run]] = []
    for path in sorted(home.glob(f"*/{journals.JOURNAL}")):
        try:
            run = summary.read(path)
        except WeighbridgeError:  # an interrupted run may hold no record yet
            continue
        read.append((min(each.started for each in run.cells.values()), path.parent.name, run))
    return [(name, run) for _, name, run in sorted(read, key=lambda each: each[:2])]


def series(cell: Cell, measured: Sequence[tuple[str, summary.Summary]]) -> Series:
    """The medians of a cell and where they step."""
    names = [name for name, _ in measured]
    step_s = [each.step_s for _, each in measured if each.step_s is not None]
    floor = max((each.floor for _, each in measured), default=DEFAULT_FLOOR)
    note = "" if len(names) >= FEWEST_RUNS else f"{FEWEST_RUNS} runs and more show steps"
    return Series(cell=cell, runs=names, step_s=step_s, steps=steps(names, step_s, floor), note=note)


def steps(names: Sequence[str], step_s: Sequence[float], floor: float) -> list[Step]:
    """Find where the level changes by more than the noise floor; nothing in fewer than four runs."""
    if len(names) < FEWEST_RUNS:
        return []
    import numpy as np
    import ruptures

    logs = np.log(step_s)
    penalty = PENALTY * noise(logs.tolist(), floor) * math.log(len(names))
    ends: list[int] = ruptures.Pelt(model="l1", min_size=SHORTEST, jump=1).fit(logs).predict(pen=penalty)
    levels = [statistics.median(logs[start:end].tolist()) for start, end in pairwise([0, *ends])]
    moves = [b - a for a, b in pairwise(levels)]
    found = [Step(run=names[start], time_ratio=math.exp(move)) for start, move in zip(ends, moves, strict=False)]
    return [step for step in found if abs(math.log(step.time_ratio)) > math.log1p(floor)]


def noise(logs: Sequence[float], floor: float) -> float:
    """Standard deviation from run to run: by differences, so that a step is no noise, and larger where they are few.

    Half the noise floor at least.
    """
    moves = [abs(b - a) for a, b in pairwise(logs)]
    spread = MAD_TO_SIGMA * statistics.median(moves) / math.sqrt(2) * (1 + 2 / len(moves))
    return max(spread, math.log1p(floor) / 2)


def words(step: Step) -> str:
    """`run 20261123-000729-7b24be5: 12 % slower from here`."""
    slower = step.time_ratio > 1
    share = (step.time_ratio if slower else 1 / step.time_ratio) - 1
    return f"run {step.run}: {share * 100:.0f} % {'slower' if slower else 'faster'} from here"
