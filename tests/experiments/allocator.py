"""What it is worth to keep one's pages: each task's reference against itself, in turns, with another host allocator.

    python -m tests.experiments.allocator --pairs 3
    python -m tests.experiments.allocator --pairs 3 --against jemalloc --tasks semantic-search

One side has its allocator as it comes, the other that of --against, in fresh processes; nothing else differs. The
interval is over the processes of all pairs of a cell; faults are minor page faults a step.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.experiments.tables import markdown
from weighbridge.bench.cli.benchmarks import Quiet
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.core.effort import effort
from weighbridge.bench.measure import statistics
from weighbridge.bench.measure.statistics import Interval
from weighbridge.bench.report.units import interval, number, seconds
from weighbridge.bench.run import calibrate, jobs
from weighbridge.bench.run.calibrate import Pair
from weighbridge.bench.run.plan import Filters


def headings(against: str) -> list[str]:
    """Of the table."""
    return ["task", "scenario", "stock step", f"{against} step", "speed-up", "faults, stock", f"faults, {against}"]


def together(pairs: Sequence[Pair]) -> Interval:
    """What several pairs of one cell have in common: their processes are all samples of it."""
    return statistics.interval([process for pair in pairs for process in pair.ratios if process])


def row(pairs: Sequence[Pair]) -> list[str]:
    """Of one cell."""
    cell = pairs[0].cell
    steps, faults = ([statistics.median([getattr(pair, name)[side] for pair in pairs]) for side in (0, 1)]
                     for name in ("steps", "minor_faults"))  # fmt: skip
    return [
        cell.task, f"{cell.scenario} {cell.precision} b{cell.batch_size}", *map(seconds, steps),
        interval(together(pairs)), *(number(each) if each == each else "not counted" for each in faults),
    ]  # fmt: skip


def measured(given: argparse.Namespace) -> list[Pair]:
    """Stock pages first, the other allocator second, pair by pair."""
    from weighbridge.bench.measure import allocator

    tasks = [name for name in given.tasks.split(",") if name]
    planned = calibrate.of_the_reference(jobs.prepare("quick", Filters(tasks=tasks)))
    count = given.pairs * len(planned.cells)

    def tell(pair: Pair) -> None:
        print(f"{pair.cell}  {interval(pair.ratio)}", file=sys.stderr, flush=True)

    return calibrate.compare_programs(
        planned,
        count,
        effort(given.tier),
        Quiet(),
        allocator="stock",
        changed=allocator.variables(allocator.chosen(given.against)),
        tell=tell,
    )


def main() -> int:
    """A wrong request is one line and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1, help="of each cell")
    parser.add_argument("--tasks", default="", help="names, separated by commas; default: all of suite quick")
    parser.add_argument("--against", default="keep", help="keep, huge, jemalloc, tcmalloc")
    parser.add_argument("--tier", default="standard")
    given = parser.parse_args()
    try:
        pairs = measured(given)
    except WeighbridgeError as error:
        print(f"allocator: {error}", file=sys.stderr)
        return 2
    cells = dict.fromkeys(pair.cell for pair in pairs)
    print(markdown(headings(given.against), [row([pair for pair in pairs if pair.cell == cell]) for cell in cells]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
