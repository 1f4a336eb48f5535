"""What an upgrade changes: the same request under several pinned sets of versions, each in an environment of its own.

    python -m nox -s matrix -- --tasks semantic-search --runs 3
    python -m tests.experiments.matrix --read .matrix               # the table again

Sets stand in versions.toml. They take turns, a whole run each, so that what the machine does meanwhile meets all of
them alike; weights and oracle are the first set's. An interrupted matrix goes on where it was: type the same. A change
is told where every run of a set has it against every run of the first; else it is UNSURE. Exit codes: 0 fine, 2 a wrong
request.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests import CLONE
from tests.experiments.repeat import FINISHED, Request, agreed, run_journals, run_one
from weighbridge.bench.analysis import gate, summary, upgrades
from weighbridge.bench.analysis.summary import Run
from weighbridge.bench.core import Cell, WeighbridgeError
from weighbridge.bench.report import changes
from weighbridge.bench.report.markup import escape, grid
from weighbridge.bench.report.units import seconds, size

FILE = Path(__file__).with_name("versions.toml")
HEADINGS = ("cell", "set", "step", "host peak", "score", "against the first set")


class Sets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of version sets."""

    python: str
    free: list[str]
    sets: dict[str, dict[str, str]]


def read_sets(text: str) -> Sets:
    """Of versions.toml."""
    return msgspec.convert(tomllib.loads(text), Sets)


def constraints(text: str, pins: dict[str, str], free: Sequence[str]) -> str:
    """The project's constraints with a set's pins in place of its own, and none of what is left free."""

    def kept(line: str) -> bool:
        name = re.split(r"[=<>~!;\[ ]", line, maxsplit=1)[0].lower()
        return name not in pins and not any(fnmatch(name, pattern) for pattern in free)

    lines = [line for line in text.splitlines() if kept(line)]
    return "\n".join([*lines, *(f"{name}=={version}" for name, version in pins.items())]) + "\n"


def folder_name(name: str) -> str:
    """Of a set: letters, digits, dots and dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def environment(home: Path, sets: Sets, name: str, uv: str) -> Path:
    """The interpreter of a set's environment, which is made where it is not there."""
    place = home / "environments" / folder_name(name)
    python, pins = place / "bin" / "python", place.with_name(f"{place.name}.txt")
    wanted = constraints((CLONE / "constraints.txt").read_text(), sets.sets[name], sets.free)
    if python.exists() and pins.exists() and pins.read_text() == wanted:
        return python
    place.parent.mkdir(parents=True, exist_ok=True)
    made = place.with_name(f"{place.name}.part")
    made.write_text(wanted)
    venv = [uv, "venv", "--quiet", "--clear", "--python", sets.python, str(place)]
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "-c", str(made)]
    for command in (venv, [*install, "-e", f"{CLONE}[torch,flax,pytest]"]):
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            said = " ".join(ended.stderr.split()) or f"exit code {ended.returncode}"
            raise WeighbridgeError(f"no environment for {name} (--python names an interpreter): {said}")
    made.rename(pins)
    return python


def run_all(home: Path, sets: Sets, request: Request, runs: int, uv: str) -> None:
    """What is not finished yet: a whole run of every set, then another of every set; tells of each on stderr."""
    interpreters = {name: environment(home, sets, name, uv) for name in sets.sets}
    for name in interpreters:
        (home / folder_name(name)).mkdir(exist_ok=True)
        agreed(home / folder_name(name), request)
    todo = [(home / folder_name(name) / f"{turn + 1:02}", name) for turn in range(runs) for name in interpreters]
    for at, (folder, name) in enumerate(todo, start=1):
        if not (folder / FINISHED).exists():
            print(f"{at}/{len(todo)}  {name}", file=sys.stderr, flush=True)
            run_one(folder, request, str(interpreters[name]))


class Held(NamedTuple):
    """What all runs of a set say of a cell, each held against each of the first set."""

    cell: Cell
    after: summary.Summary
    words: str


def held(first: Sequence[Run], others: Sequence[Run], reference: str) -> list[Held]:
    """Of every cell of a set; a change that not every pair of runs shows is UNSURE."""
    outcomes = [gate.judge(one, other, gate.Thresholds(), reference) for one, other in product(first, others)]
    found: list[Held] = []
    for cell, after in others[0].cells.items():
        told = [change for outcome in outcomes for change in outcome.changes if change.cell == cell]
        kinds = {change.kind for change in told}
        shared = set.intersection(*({*change.worse, *change.better} for change in told)) if told else set[gate.Metric]()
        words = "; ".join(changes.what(told[0])) if shared else next(iter(kinds)) if len(kinds) == 1 else "UNSURE"
        found.append(Held(cell, after, words))
    return found


def table(home: Path, sets: Sets, reference: str) -> str:
    """Every cell under every set, cell by cell; then which versions each set's runs named."""
    runs = {name: [summary.read(path) for path in run_journals(home / folder_name(name))] for name in sets.sets}
    (begin, first), *others = runs.items()
    rows = [_row(cell, begin, each, "") for cell, each in first[0].cells.items()]
    rows += [
        _row(each.cell, name, each.after, each.words)
        for name, theirs in others
        for each in held(first, theirs, reference)
    ]
    rows.sort(key=lambda row: row[0])
    versions = [f"- {name}: {'; '.join(upgrades.upgrades(first[0], theirs[0]))}" for name, theirs in others]
    return grid(HEADINGS, [map(escape, row) for row in rows]) + "\n\n" + "\n".join(map(escape, versions)) + "\n"


def _row(cell: Cell, name: str, each: summary.Summary, words: str) -> Sequence[str]:
    return (str(cell), name, seconds(each.step_s), size(each.host_peak_bytes), _score(each), words)


def _score(each: summary.Summary) -> str:
    told = f"{each.metric} {each.score:.4f}" if each.score is not None else each.status
    return told if each.parity is None or each.parity.passed else f"{told}, parity failed"


def main() -> int:
    """A wrong request is one line and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("suite", "quick"), ("tasks", ""), ("backends", ""), ("scenarios", ""), ("tier", "quick")):
        parser.add_argument(f"--{name}", default=default)
    parser.add_argument("--runs", type=int, default=3, help="of every set")
    parser.add_argument("--out", type=Path, default=Path(".matrix"))
    parser.add_argument("--read", type=Path, help="run nothing, read the runs of this folder")
    parser.add_argument("--reference", default="torch")
    parser.add_argument("--python", default="", help="of the environments; default: what versions.toml says")
    parser.add_argument("--uv", default="uv", help="the program that makes environments")
    given = parser.parse_args()
    sets, home = read_sets(FILE.read_text()), given.read or given.out
    sets = msgspec.structs.replace(sets, python=given.python or sets.python)
    request = Request(**{n: getattr(given, n) for n in ("suite", "tasks", "backends", "scenarios", "tier")})
    try:
        if not given.read:
            run_all(home, sets, request, given.runs, given.uv)
        print(table(home, sets, given.reference))
    except KeyboardInterrupt:
        print("interrupted; type the same to go on", file=sys.stderr)
        return 130
    except WeighbridgeError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
