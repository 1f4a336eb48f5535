"""Whole runs of one request, again and again: do their verdicts agree, and do their intervals hold what they claim?

    python -m tests.experiments.repeat --tasks semantic-search --backends torch,flax --runs 20 --out .repeat
    python -m tests.experiments.repeat ... --allocator stock        # as a user has it who changes nothing
    python -m tests.experiments.repeat ... --load 1                 # beside a neighbour
    python -m tests.experiments.repeat --read .repeat --compare --keep

Each run is a fresh `weighbridge run`. An interrupted repetition goes on where it was: type the same. `--compare` holds
every run against every other, as the gate would; `--keep` stores what whole runs differ by, by which the gate judges
later runs of this machine and tier. Exit codes: 0 fine, 1 two verdicts contradict each other, 2 a wrong request.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import msgspec

from tests.experiments.load import competing_load
from tests.experiments.tables import HEADINGS, NOTE, Seen, markdown, repeated, row
from weighbridge.bench.analysis import gate, summary
from weighbridge.bench.analysis.ratios import rows
from weighbridge.bench.analysis.runs import reference_of
from weighbridge.bench.core import Cell, WeighbridgeError
from weighbridge.bench.core.effort import effort
from weighbridge.bench.measure import environment, noise, statistics
from weighbridge.bench.run import calibrate
from weighbridge.bench.storage import journals
from weighbridge.bench.storage.files import write_whole

REQUEST, FINISHED = "request.json", "finished"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What every run is asked."""

    suite: str = "quick"
    tasks: str = ""
    backends: str = ""
    scenarios: str = ""
    tier: str = "quick"
    allocator: str = noise.ALLOCATOR
    load: int = 0

    def words(self, out: Path, python: str = sys.executable) -> list[str]:
        """As a user types it."""
        names = ("suite", "tasks", "backends", "scenarios", "tier")
        given = [(name, getattr(self, name)) for name in names]
        given += [("allocator", self.allocator)] if self.allocator != noise.ALLOCATOR else []
        options = [word for name, value in given if value for word in (f"--{name}", value)]
        return [python, "-m", "weighbridge", "run", *options, "--out", str(out)]


def agreed(home: Path, request: Request) -> None:
    """Writes down what is asked; raises WeighbridgeError where the folder holds runs of another request."""
    known = asked(home)
    if known and known != request:
        raise WeighbridgeError(f"{home} holds runs of another request, {REQUEST} says which; choose another --out")
    write_whole(home / REQUEST, msgspec.json.format(msgspec.json.encode(request)))


def asked(home: Path) -> Request | None:
    """What the runs of a folder were asked, where this experiment made them."""
    file = home / REQUEST
    return msgspec.json.decode(file.read_bytes(), type=Request) if file.is_file() else None


def run_all(home: Path, request: Request, runs: int) -> None:
    """The runs that are not finished yet, one after the other; tells of each on stderr."""
    folders = [home / f"{index + 1:02}" for index in range(runs)]
    todo = [folder for folder in folders if not (folder / FINISHED).exists()]
    begin = time.monotonic()
    with competing_load(request.load):
        for done, folder in enumerate(todo, start=1):
            run_one(folder, request)
            each_s = (time.monotonic() - begin) / done
            left = f"{each_s:.0f} s a run, {each_s * (len(todo) - done) / 60:.0f} min left"
            print(f"{runs - len(todo) + done}/{runs}  {left}", file=sys.stderr, flush=True)


def run_one(folder: Path, request: Request, python: str = sys.executable) -> None:
    """One whole run, from the start where it was cut short; raises WeighbridgeError where none came of it."""
    shutil.rmtree(folder, ignore_errors=True)
    log = folder.with_suffix(".log")
    with log.open("wb") as told:
        ended = subprocess.run(request.words(folder, python), stdout=subprocess.DEVNULL, stderr=told, check=False)
    if ended.returncode not in (0, 1) or not journals.journal(folder).exists():
        said = log.read_text(errors="replace").strip().splitlines() or [f"exit code {ended.returncode}"]
        raise WeighbridgeError(said[-1].removeprefix("weighbridge: "))
    (folder / FINISHED).write_text(f"{ended.returncode}\n")


def run_journals(home: Path) -> list[Path]:
    """Of the runs in a folder; of those that this experiment made, the finished ones."""
    found = sorted(home.glob(f"*/{journals.JOURNAL}"))
    if asked(home):
        found = [path for path in found if (path.parent / FINISHED).exists()]
    if not found:
        raise WeighbridgeError(f"no finished run in {home}; start one with --runs")
    return found


def seen_in(paths: Sequence[Path], reference: str) -> tuple[dict[str, list[Seen]], Counter[str]]:
    """What each run said of each pair, and why it said nothing."""
    pairs: dict[str, list[Seen]] = {}
    silent: Counter[str] = Counter()
    for path in paths:
        for each in rows(journals.load(path), reference):
            cell = each.record.cell
            if cell.backend == reference:
                continue
            seen = pairs.setdefault(f"{cell} / {reference}", [])
            if each.interval and each.verdict:
                seen.append(Seen(each.interval, each.verdict))
            else:
                silent[f"{cell}: {each.no_ratio or 'UNSURE, too few undisturbed blocks for an interval'}"] += 1
    return pairs, silent


def compared(paths: Sequence[Path], reference: str) -> tuple[int, Counter[str]]:
    """How many ordered pairs of runs the gate fails, and how often each cell is the reason."""
    runs = [summary.read(path) for path in paths]
    outcomes = [gate.judge(before, after, gate.Thresholds(), reference) for before, after in permutations(runs, 2)]
    worse = (each for outcome in outcomes for each in outcome.changes if each.kind == "REGRESSION")
    return sum(outcome.failed for outcome in outcomes), Counter(
        f"{each.cell}: {', '.join(each.worse)}" for each in worse
    )


def steps_of(paths: Sequence[Path]) -> dict[Cell, list[float]]:
    """Seconds a step of each cell in each run, as the gate takes them; of cells with processes enough."""
    found: dict[Cell, list[float]] = {}
    for path in paths:
        for cell, each in summary.read(path).cells.items():
            if each.machine not in ("", environment.machine_name()):
                raise WeighbridgeError(f"{path} was measured on {each.machine}; --keep is of runs of this machine")
            if each.sure:
                found.setdefault(cell, []).append(statistics.interval(each.quiet).value)
    return found


def ratios_of(paths: Sequence[Path], reference: str) -> dict[Cell, list[float]]:
    """The ratio of each cell to the reference in each run."""
    found: dict[Cell, list[float]] = {}
    for path in paths:
        for each in rows(journals.load(path), reference):
            if each.ratio is not None and each.verdict:
                found.setdefault(each.record.cell, []).append(each.ratio)
    return found


def show(home: Path, with_compare: bool) -> int:
    """Prints what the runs of a folder say; how many pairs of verdicts contradict each other."""
    paths = run_journals(home)
    reference = reference_of(paths[0])
    pairs, silent = seen_in(paths, reference)
    print(markdown(HEADINGS, [row(name, seen) for name, seen in pairs.items()]) + "\n" + NOTE)
    for text, count in silent.items():
        print(f"- no ratio in {count} of {len(paths)} runs: {text}")
    if with_compare and len(paths) > 1:
        failed, reasons = compared(paths, reference)
        print(f"compare: {failed} of {len(paths) * (len(paths) - 1)} ordered pairs of runs fail.")
        for text, count in reasons.most_common():
            print(f"- {count} times {text}")
    return sum(repeated(seen).opposed for seen in pairs.values() if seen)


def keep(home: Path, request: Request) -> None:
    """Stores what whole runs differ by."""
    if request.load:
        raise WeighbridgeError("--keep wants runs without --load: the gate judges a machine at rest")
    paths = run_journals(home)
    ratios = ratios_of(paths, reference_of(paths[0]))
    for cell, spread in calibrate.keep_runs(steps_of(paths), request.tier, request.allocator, ratios).items():
        told = "fewer than five runs, not kept" if spread is None else f"{spread:.2%}, kept"
        print(f"- between runs of {cell}: {told}")


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("suite", "quick"), ("tasks", ""), ("backends", ""), ("scenarios", ""), ("tier", "quick")):
        parser.add_argument(f"--{name}", default=default)
    parser.add_argument("--allocator", default=noise.ALLOCATOR, help="as in `weighbridge run`")
    parser.add_argument("--load", type=int, default=0, help="neighbours beside the measurement")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(".repeat"))
    parser.add_argument("--read", type=Path, help="run nothing, read the runs of this folder")
    parser.add_argument("--compare", action="store_true", help="every run against every other, as the gate would")
    parser.add_argument("--keep", action="store_true", help="store what whole runs differ by, for the gate")
    return parser


def repeat(given: argparse.Namespace) -> int:
    """Runs, reads, prints, stores; the exit code."""
    names = (field.name for field in msgspec.structs.fields(Request))
    request, home = Request(**{name: getattr(given, name) for name in names}), given.read or given.out
    if given.read:
        request = asked(home) or request
    else:
        effort(request.tier)
        agreed(home, request)
        try:
            run_all(home, request, given.runs)
        except KeyboardInterrupt:
            print("interrupted; type the same to go on", file=sys.stderr)
            return 130
    opposed = show(home, given.compare)
    if given.keep:
        keep(home, request)
    return int(opposed > 0)


def main() -> int:
    """A wrong request is one line and exit code 2."""
    try:
        return repeat(options().parse_args())
    except WeighbridgeError as error:
        print(f"repeat: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
