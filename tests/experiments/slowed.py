"""How often the gate finds a backend that became slower: real whole runs, one backend's times multiplied.

    python -m tests.experiments.slowed RUNS --percent 10        # a folder of tests.experiments.repeat

Every ordered pair of runs is held against each other as `compare` would, each backend's times in AFTER multiplied in
turn. What is multiplied is made up, what the runs differ by besides is not.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import msgspec

from tests.experiments.repeat import run_journals
from weighbridge.bench.analysis import gate, summary
from weighbridge.bench.analysis.runs import reference_of
from weighbridge.bench.analysis.summary import Run


def slowed(run: Run, backend: str, factor: float) -> Run:
    """The run, the steps of one backend's cells multiplied."""
    cells = {
        cell: msgspec.structs.replace(each, processes=[[s * factor for s in process] for process in each.processes])
        if cell.backend == backend
        else each
        for cell, each in run.cells.items()
    }
    return msgspec.structs.replace(run, cells=cells)


def found(runs: Sequence[Run], backend: str, factor: float, reference: str) -> tuple[int, int, int]:
    """Pairs; those in which the gate fails this backend's speed; those in which it fails that of another."""
    pairs = list(permutations(runs, 2))
    own = others = 0
    for before, after in pairs:
        changes = gate.judge(before, slowed(after, backend, factor), gate.Thresholds(), reference).changes
        slower = {each.cell.backend for each in changes if "speed" in each.worse}
        own += backend in slower
        others += bool(slower - {backend})
    return len(pairs), own, others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="a folder of tests.experiments.repeat")
    parser.add_argument("--percent", type=float, nargs="+", default=[0.0, 5.0, 10.0])
    options = parser.parse_args()
    paths = run_journals(options.runs)
    reference, runs = reference_of(paths[0]), [summary.read(path) for path in paths]
    backends = dict.fromkeys(cell.backend for run in runs for cell in run.cells)
    print("| backend | slower by | pairs | fail its speed | fail another's |\n| --- | --- | --- | --- | --- |")
    for backend in backends:
        for percent in options.percent:
            pairs, own, others = found(runs, backend, 1 + percent / 100, reference)
            print(f"| {backend} | {percent:g} % | {pairs} | {own} | {others} |", flush=True)


if __name__ == "__main__":
    main()
