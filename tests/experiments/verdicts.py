"""The tables of docs/measuring.md: are the verdicts right, and how do others do on the same pair of programs?

    python -m tests.experiments.verdicts aa --pairs 40          # equal programs beside a competing load
    python -m tests.experiments.verdicts slowdowns --runs 20    # 3, 5 and 10 % more work, effort standard
    python -m tests.experiments.verdicts methods --runs 20      # pytest-benchmark and a plain loop beside ours

Every figure is of real work on the real clock. `slowdowns` and `methods` want a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tests.experiments import others
from tests.experiments.load import competing_load
from tests.experiments.others import Way
from weighbridge.backends.work import MORE_VARIABLE
from weighbridge.bench.cli.benchmarks import Quiet
from weighbridge.bench.core import Cell
from weighbridge.bench.core.effort import effort
from weighbridge.bench.measure.statistics import Interval
from weighbridge.bench.report.units import interval
from weighbridge.bench.run import calibrate, jobs
from weighbridge.bench.run.calibrate import Pair
from weighbridge.bench.run.jobs import Planned
from weighbridge.bench.run.plan import Filters

WORK = Cell(
    task="tabular-regression",
    preset="small",
    backend="work",
    scenario="infer",
    precision="fp32",
    batch_size=8,
    device="cpu",
)


def work() -> Planned:
    return Planned(cells=[WORK], reference="work")


def progress(total: int) -> Callable[[Pair], None]:
    """A line a pair on stderr."""
    count, begin = Counter[str](), time.monotonic()

    def tell(pair: Pair) -> None:
        count["done"] += 1
        ratio = f"{interval(pair.ratio)} {sum(map(len, pair.ratios))} turns"
        elapsed = time.monotonic() - begin
        print(f"{count['done']}/{total} {elapsed:4.0f} s  {pair.cell.task} {ratio}", file=sys.stderr, flush=True)

    return tell


def heading(*titles: str) -> None:
    """Of a Markdown table."""
    print(f"| {' | '.join(titles)} |\n{'| --- ' * len(titles)}|", flush=True)


def equal_programs(options: argparse.Namespace) -> None:
    """A/A: false verdicts beside a load, by the machine's floor and by the one that these very pairs would give."""
    planned = jobs.prepare("quick", Filters(tasks=options.tasks.split(","), backends=["torch"]))
    with competing_load(options.load):
        pairs = calibrate.compare_programs(
            planned, options.pairs, effort(options.effort), Quiet(), tell=progress(options.pairs)
        )
    verdicts = Counter(pair.verdict(pair.floor) for pair in pairs)
    wrong = verdicts["FASTER"] + verdicts["SLOWER"]
    elsewhere = np.median([pair.cpus_elsewhere or 0 for pair in pairs])
    floors = sorted(pair.floor for pair in pairs)
    far = [abs(pair.ratio.value - 1) for pair in pairs]
    heading("pairs", "effort", "floor", "load, CPUs", "SAME", "UNSURE", "false", "median, largest |ratio - 1|")
    print(
        f"| {len(pairs)} | {options.effort} | {floors[0]:.2%} to {floors[-1]:.2%} | {elsewhere:.2f}"
        f" | {verdicts['SAME']} | {verdicts['UNSURE']} | {wrong} ({wrong / len(pairs):.1%})"
        f" | {np.median(far):.2%}, {max(far):.2%} |"
    )


def slowdowns(options: argparse.Namespace) -> None:
    """How often more work is found."""
    heading("more work", "runs", "SLOWER", "UNSURE", "SAME", "FASTER", "median ratio, expected")
    for percent in options.percent:
        changed = {MORE_VARIABLE: str(percent / 100)}
        pairs = calibrate.compare_programs(
            work(), options.runs, effort(options.effort), Quiet(), changed=changed, tell=progress(options.runs)
        )
        verdicts = Counter(pair.verdict(pair.floor) for pair in pairs)
        words = " | ".join(str(verdicts[word]) for word in ("SLOWER", "UNSURE", "SAME", "FASTER"))
        ratio = np.median([pair.ratio.value for pair in pairs])
        print(f"| {percent:g} % | {len(pairs)} | {words} | {ratio:.4f}, {1 / (1 + percent / 100):.4f} |", flush=True)


CODE = """
import sys
sys.path.insert(0, {root!r})
from weighbridge.backends.work import WorkSession
session = WorkSession(None, {units})
def step():
    session.step(None)
"""


def one_after_the_other(measure: Way, units: Sequence[int]) -> Interval:
    """The ratio of two sequential runs."""
    return others.ratio(*(measure(CODE.format(root=str(Path.cwd()), units=each), {}) for each in units))


def ours(name: str, more: float) -> Interval:
    """In turns."""
    (pair,) = calibrate.compare_programs(work(), 1, effort(name), Quiet(), changed={MORE_VARIABLE: str(more)})
    return pair.ratio


def methods(options: argparse.Namespace) -> None:
    """Width and honesty of each method's interval: how often it holds the ratio that is known."""
    from weighbridge.backends.work import UNITS

    known = (UNITS, round(UNITS * 1.05))
    ways: dict[str, Callable[[], Interval]] = {
        "pytest-benchmark": lambda: one_after_the_other(others.pytest_benchmark, known),
        "plain loop": lambda: one_after_the_other(others.plain_loop, known),
    }
    ways |= {f"weighbridge {name}": partial(ours, name, 0.05) for name in options.tiers.split(",")}
    truth = known[0] / known[1]
    found: dict[str, list[Interval]] = {name: [] for name in ways}
    with competing_load(options.load):
        for index in range(options.runs):
            for name, way in ways.items():
                found[name].append(way())
            print(f"{index + 1}/{options.runs}", file=sys.stderr, flush=True)
    heading("method", "half width, median", f"holds {truth:.4f}", "spread of the ratio (std)", "furthest off")
    for name, intervals in found.items():
        values = np.array([each.value for each in intervals])
        held = np.mean([each.low <= truth <= each.high for each in intervals])
        width = np.median([each.relative_error for each in intervals])
        print(
            f"| {name} | {width:.2%} | {held:.0%} | {values.std(ddof=1):.2%} | {np.abs(values / truth - 1).max():.2%} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    aa = commands.add_parser("aa")
    aa.add_argument("--pairs", type=int, default=40)
    aa.add_argument("--effort", "--tier", default="quick")
    aa.add_argument("--load", type=int, default=1, help="processes beside the measurement")
    aa.add_argument("--tasks", default="tabular-regression,image-classification")
    aa.set_defaults(do=equal_programs)
    slow = commands.add_parser("slowdowns")
    slow.add_argument("--runs", type=int, default=20)
    slow.add_argument("--percent", type=float, nargs="+", default=[3.0, 5.0, 10.0])
    slow.add_argument("--effort", "--tier", default="standard")
    slow.set_defaults(do=slowdowns)
    way = commands.add_parser("methods")
    way.add_argument("--runs", type=int, default=20)
    way.add_argument("--load", type=int, default=0)
    way.add_argument("--tiers", default="quick", help="quick,standard,strict")
    way.set_defaults(do=methods)
    options = parser.parse_args()
    options.do(options)


if __name__ == "__main__":
    main()
