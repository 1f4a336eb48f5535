"""What a row of the HTML report opens to: raw samples, effective footing, memory, parity, and its command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

from weighbridge.bench.analysis.footing import FOOTING
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.settings import words
from weighbridge.bench.measure import statistics
from weighbridge.bench.report.columns import NOTHING, Column
from weighbridge.bench.report.plots.bars import MEMORY
from weighbridge.bench.report.plots.plot import Plot, Series, unit_of
from weighbridge.bench.report.sampling import evenly
from weighbridge.bench.report.texts import difference, parity
from weighbridge.bench.report.units import number, percent, seconds, size

ENDED = {"converged": "converged", "time cap": "time cap: not settled"}
BESIDE = {"interleaved": "in turns", "sequential": "one after the other"}


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """Names and texts under a heading."""

    title: str
    entries: list[tuple[str, str]]


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of raw samples, and their numbers."""

    plot: Plot
    text: str


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """Everything behind one row."""

    title: str
    said: str
    """Why it has no figure or no ratio; empty where it has."""
    command: str
    lists: list[Listed]
    samples: Samples | None


def detail(row: Row, reference: str, columns: list[Column], most_samples: int) -> Detail:
    """Return what a page shows of one row when it is opened."""
    record = row.record
    figures = [(column.title, column.text(row)) for column in columns if column.rank]
    lists = [
        Listed(title="Figures", entries=[entry for entry in figures if entry[1] not in NOTHING]),
        Listed(title="Effective footing", entries=footing(record.facts)),
        Listed(title="Memory, split", entries=memory(row)),
        Listed(title="Right?", entries=right(row)),
        Listed(title="How it was timed", entries=timed(row)),
        Listed(title="Where", entries=where(record.environment)),
    ]
    return Detail(
        title=str(record.cell),
        said=row.no_ratio,
        command=command(row, reference),
        lists=[listed for listed in lists if listed.entries],
        samples=samples(row, most_samples),
    )


def command(row: Row, reference: str) -> str:
    """Return what to type to weigh this row again, beside what it was held to. Quoted: names come from outside.

    The best row of the camp is left out where it has options of its own, which would be all rows'.
    """
    cell = row.record.cell
    best = [row.best] if row.best and "(" not in row.best else []
    backends = ",".join(dict.fromkeys((reference, *best, cell.backend)))
    options = {
        "tasks": cell.task, "preset": cell.preset, "backends": backends, "scenarios": cell.scenario,
        "precisions": cell.precision, "batch-sizes": str(cell.batch_size), "device": cell.device,
        "effort": row.record.tier,
    }  # fmt: skip
    typed = [word for name, value in options.items() for word in (f"--{name}", value)]
    typed += [each for word in words(cell.settings) for each in ("-S", word)]
    return shlex.join(["weighbridge", "run", *typed, *(each for word in words(cell.options) for each in ("-O", word))])


def footing(facts: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return what must agree with the reference first, then what is disclosed."""
    ordered = [name for name in FOOTING if name in facts] + sorted(name for name in facts if name not in FOOTING)
    return [(name.replace("_", " "), text(facts[name])) for name in ordered]


def text(value: Any) -> str:
    """A fact as a reader would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else "n/a" if value is None else json.dumps(value, ensure_ascii=False)


def memory(row: Row) -> list[tuple[str, str]]:
    """Each figure under its own name; `n/a` is not zero."""
    record = row.record
    if record.status == "skipped":
        return []
    return [(title, size(of(record))) for title, of in MEMORY]


def right(row: Row) -> list[tuple[str, str]]:
    """Parity and every score."""
    found = row.record.parity
    entries = [(name, "not finite" if value is None else f"{value:.6g}") for name, value in row.record.score.items()]
    if not found:
        return entries
    output = [("output with the largest error", found.output)] if found.output else []
    far = [("largest difference from the reference's", difference(row))] if found.difference is not None else []
    return [("parity", f"{parity(row)}: {'passed' if found.passed else 'FAILED'}"), *output, *far, *entries]


def timed(row: Row) -> list[tuple[str, str]]:
    """Processes, blocks, warm-up, what ended it, and the noise beside it."""
    record = row.record
    if not record.step_s:
        return []
    blocks = [len(process) for process in record.blocks]
    entries = [
        ("effort", record.tier),
        ("steps", f"{len(record.step_s):,} in {sum(blocks)} blocks"),
        ("processes", str(len(blocks))),
        ("beside the reference", BESIDE.get(row.pairing, "–")),
        ("ended by", ENDED.get(record.stopped_by, "–")),
        ("warm-up", f"{len(record.warmup_s)} steps, {seconds(sum(record.warmup_s))}"),
        ("energy a step", "n/a" if record.energy_j_per_step is None else number(record.energy_j_per_step, "J")),
    ]  # fmt: skip
    if row.faults is not None:
        entries.append(("page faults a step", number(row.faults)))
    if crowded := sum(map(sum, record.crowded)):
        entries.append(("blocks beside a busy neighbour", f"{crowded} of {sum(blocks)}"))
    if record.slowdown:
        slowdown = number(statistics.median(record.slowdown), "×")
        entries.append(("a fixed piece of work around blocks, of its shortest", slowdown))
    if record.noise:
        elsewhere = record.noise.cpus_elsewhere
        entries.append(("noise floor", percent(record.noise.floor)))
        entries.append(("processors busy with other work", "n/a" if elsewhere is None else f"{elsewhere:.2f}"))
    return entries


def where(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Machine and versions."""
    versions = environment.get("versions")
    packages = (
        ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        if isinstance(versions, Mapping)
        else ""
    )
    names = ("machine", "cpu", "instruction_set", "gpus", "system", "python", "commit", "driver")
    known = [(name.replace("_", " "), text(environment[name])) for name in names if environment.get(name)]
    return [*known, ("packages", packages)] if packages else known


def samples(row: Row, most: int) -> Samples | None:
    """The steps in the order in which they were taken."""
    step_s = row.record.step_s
    if not step_s:
        return None
    scale, unit = unit_of(statistics.median(step_s))
    kept = evenly((value / scale for value in step_s), most)
    distance = len(step_s) / len(kept)
    backend = row.record.cell.executor
    drawn: list[float | None] = [*kept]
    series = Series(name=backend, backend=backend, x=[float(round(n * distance)) for n in range(len(kept))], y=drawn)
    thinned = f"{len(kept)} of {len(step_s):,}, at even distances" if len(kept) < len(step_s) else f"all {len(kept)}"
    plot = Plot(
        title="Raw samples", kind="lines", x_label="step", y_label=unit, series=[series], columns=[], table=[],
        text=f"Steps in the order in which they were taken: {thinned}. Median {seconds(statistics.median(step_s))}, "
        f"shortest {seconds(min(step_s))}, longest {seconds(max(step_s))}.",
    )  # fmt: skip
    return Samples(plot=plot, text=f"{unit}: {', '.join(number(value, digits=4) for value in kept)}")
