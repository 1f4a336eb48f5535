"""The same pair of models by others' methods, again and again, in the columns of `repeat`.

    python -m tests.experiments.methods --runs 20 --ours .repeat

pytest-benchmark as it comes and a bare loop time MiniLM's forward pass, torch's and Flax's, each in a fresh process,
with the weights, the batch and the sessions that `weighbridge run` weighs, and the allocator as it comes. Their
interval is that of the steps they kept, each counted as independent, and is read as a verdict wherever it does not
hold 1, which is what a reader of their output would do. Every step is kept in --out, where an interrupted
repetition goes on.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from tests import nouns
from tests.experiments import others, repeat
from tests.experiments.tables import HEADINGS, NOTE, Seen, markdown, read_as_verdict, row
from weighbridge.bench.analysis.runs import reference_of
from weighbridge.bench.cli.benchmarks import Quiet
from weighbridge.bench.core import Cell, WeighbridgeError
from weighbridge.bench.core.effort import QUICK
from weighbridge.bench.run import jobs
from weighbridge.bench.run.plan import Filters
from weighbridge.bench.run.process import WorkerFailed
from weighbridge.bench.run.protocol import path_from
from weighbridge.bench.run.runner import Run
from weighbridge.bench.scenarios.steps.batches import turned
from weighbridge.bench.storage import journals, lines
from weighbridge.bench.storage.prepared import Prepared

WAYS: dict[str, others.Way] = {
    "pytest-benchmark": others.pytest_benchmark,
    "bare loop": partial(others.plain_loop, warm=5, seconds=3.0),
}
CODE = """
import sys
sys.path.insert(0, {root!r})
from tests.experiments.methods import opened
step = opened({cell!r}, {made!r})
"""


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """Steps of both, by one method, once."""

    method: str
    reference_s: list[float]
    other_s: list[float]

    def seen(self) -> Seen:
        """As a reader takes it."""
        found = others.ratio(self.reference_s, self.other_s)
        return Seen(found, read_as_verdict(found))


def opened(cell_text: str, made_text: str) -> Callable[[], None]:
    """In the fresh process: the backend's own session, and a step that returns when its work is done."""
    cell = msgspec.json.decode(cell_text, type=Cell)
    made = msgspec.json.decode(made_text, type=Prepared, dec_hook=path_from)
    session = nouns.backend(cell.backend).open(nouns.task(cell.task).models[cell.preset], made.weights, cell)
    x = session.to_device(turned(made.rows(), cell.batch_size)[0])
    return lambda: session.sync(session.step(x))


def prepared(task: str, backends: Sequence[str]) -> tuple[list[Cell], Prepared]:
    """The pair, the reference first, and what it is made of."""
    planned = jobs.prepare("quick", Filters(tasks=[task], backends=backends, scenarios=["infer"]))
    if len(planned.cells) != 2:
        raise WeighbridgeError(f"two backends make a pair, the reference {planned.reference} one of them")
    with tempfile.TemporaryDirectory() as folder:
        run = Run(jobs.job(planned, 600.0, QUICK), Path(folder) / journals.JOURNAL, Quiet())
        (made,) = run.prepare(planned.cells).values()
    if isinstance(made, WorkerFailed):
        raise WeighbridgeError(made.reason)
    return planned.cells, made


def steps(way: others.Way, cell: Cell, made: Prepared) -> list[float]:
    """Seconds of a cell's steps in a fresh process."""
    texts = {"cell": msgspec.json.encode(cell).decode(), "made": msgspec.json.encode(made, enc_hook=str).decode()}
    with tempfile.TemporaryDirectory() as cache:
        variables: Mapping[str, str] = nouns.backend(cell.backend).env(cell, Path(cache))
        return way(CODE.format(root=os.getcwd(), **texts), variables)  # noqa: PTH109 -- a text


def run_all(out: Path, runs: int, task: str, backends: Sequence[str]) -> None:
    """Times what is not timed yet."""
    (reference, other), made = prepared(task, backends)
    known = read(out)
    for index in range(runs):
        for method, way in WAYS.items():
            if sum(each.method == method for each in known) <= index:
                timed = [steps(way, cell, made) for cell in (reference, other)]
                journals.append(out, Timed(method=method, reference_s=timed[0], other_s=timed[1]))
        print(f"{index + 1}/{runs}", file=sys.stderr, flush=True)


def read(out: Path) -> list[Timed]:
    """What was timed so far."""
    return [msgspec.json.decode(line, type=Timed) for line in lines.read(out)]


def rows(timed: Sequence[Timed], ours: Path | None) -> list[list[str]]:
    """A row a method, and those of whole runs of ours."""
    found = [row(method, [each.seen() for each in timed if each.method == method]) for method in WAYS]
    if ours:
        paths = repeat.run_journals(ours)
        pairs, _ = repeat.seen_in(paths, reference_of(paths[0]))
        found += [row(f"weighbridge: {name}", seen) for name, seen in pairs.items()]
    return found


def main() -> int:
    """A wrong request is one line and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="0 only prints")
    parser.add_argument("--task", default="semantic-search")
    parser.add_argument("--backends", default="torch,flax", help="the reference and another")
    parser.add_argument("--out", type=Path, default=Path(".repeat/methods.jsonl"))
    parser.add_argument("--ours", type=Path, help="a folder of `repeat`, whose rows are added")
    given = parser.parse_args()
    try:
        if given.runs:
            given.out.parent.mkdir(parents=True, exist_ok=True)
            run_all(given.out, given.runs, given.task, given.backends.split(","))
        print(markdown(HEADINGS, rows(read(given.out), given.ours)) + "\n" + NOTE)
    except WeighbridgeError as error:
        print(f"methods: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
