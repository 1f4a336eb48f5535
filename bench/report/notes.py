"""What is said beside the table: why a row has no figure, what was not paired or falls short, what the machine did."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import add

from weighbridge.bench.analysis.judging import SEQUENTIAL_FLOOR
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.measure import statistics
from weighbridge.bench.measure.noise import BUSIER_CPUS
from weighbridge.bench.measure.pace import MOST_BY_CHANCE, SHARED
from weighbridge.bench.report.texts import score, task, under_target
from weighbridge.bench.report.units import number, percent, seconds
from weighbridge.bench.scenarios.steps.measure import MOVED_ASIDE

DECIMAL = re.compile(r"(?<![\d.])(\d+\.\d+)(?![\d.])")


def notes(rows: Sequence[Row]) -> list[str]:
    """Why a row has no figure or no ratio, which were not paired, and what the machine did; nothing is hidden."""
    return [*(f"{row.record.cell}: {row.no_ratio}" for row in rows if row.no_ratio), *remarks(rows)]


def remarks(rows: Sequence[Row]) -> list[str]:
    """Which rows were not paired, and what the machine did, each once."""
    noisy = ranged(text for row in rows if row.record.noise for text in row.record.noise.warnings)
    said = (lone, unpaired, two_speeds, short_of_target, damaged, shared)
    return [*chain.from_iterable(tell(rows) for tell in said), *noisy]


def ranged(texts: Iterable[str]) -> list[str]:
    """The texts, each once: those that differ in decimal numbers alone are one, with the span of each number."""
    alike: dict[tuple[str, ...], list[list[str]]] = {}
    for text in dict.fromkeys(texts):
        parts = DECIMAL.split(text)
        alike.setdefault(tuple(parts[::2]), []).append(parts[1::2])
    return ["".join(map(add, words, (*map(_span, zip(*found, strict=True)), ""))) for words, found in alike.items()]


def _span(numbers: Iterable[str]) -> str:
    ordered = sorted(numbers, key=float)
    return " to ".join(dict.fromkeys((ordered[0], ordered[-1])))


def _quiet_inside(row: Row) -> bool:
    """Whether nobody was busy whom the kernel sees: such a one slows the piece of work, too."""
    noise = row.record.noise
    return noise is None or (noise.cpus_elsewhere or 0.0) <= BUSIER_CPUS


def two_speeds(rows: Sequence[Row]) -> list[str]:
    """One line that names the steps whose median may tip from one speed to another."""
    named = [
        f"{task(row)} on {row.record.cell.executor}: {seconds(row.speeds.fast)} and {seconds(row.speeds.slow)}"
        for row in rows
        if row.speeds
    ]
    why = "a tenth of the steps takes one, a tenth the other; their ratio's interval covers both"
    return [f"steps of two speeds ({why}): {'; '.join(dict.fromkeys(named))}"] if named else []


def shared(rows: Sequence[Row]) -> list[str]:
    """One line where somebody outside of this virtual machine slowed its processors in more blocks than chance does."""
    slowdown = [each for row in rows if _quiet_inside(row) for each in row.record.slowdown]
    slowed = [each for each in slowdown if each > SHARED]
    if len(slowed) <= MOST_BY_CHANCE * len(slowdown):
        return []
    return [
        f"somebody outside of this virtual machine shares its processors: around {len(slowed):,} of {len(slowdown):,} "
        f"blocks a fixed piece of work took {number(statistics.median(slowed))} times as long as at its shortest; "
        "such blocks count for no verdict"
    ]


def short_of_target(rows: Sequence[Row]) -> list[str]:
    """One line that names the scores which do not reach what their task wants."""
    found = dict.fromkeys(f"{task(row)} on {row.record.cell.executor}: {score(row)}" for row in rows if _short(row))
    return [f"scores under their task's target: {'; '.join(found)}"] if found else []


def _short(row: Row) -> bool:
    return score(row) != "–" and under_target(row)


def damaged(rows: Sequence[Row]) -> list[str]:
    """One line that names files of the cache which were found damaged, where there are any."""
    named = (row.record.facts.get(MOVED_ASIDE) for row in rows)
    files = dict.fromkeys(str(file) for files in named if isinstance(files, list) for file in files)
    return [f"damaged in the cache, moved aside and made anew: {', '.join(files)}"] if files else []


def lone(rows: Sequence[Row]) -> list[str]:
    """One line where verdicts lack processes."""
    found = [row for row in rows if row.verdict and row.processes < statistics.FEWEST_PROCESSES]
    of = f" ({len(found):,} of {len(rows):,} rows)" if len(found) < len(rows) else ""
    return [f"one process a side is only a look, no verdict: --effort quick or more takes three{of}"] if found else []


def unpaired(rows: Sequence[Row]) -> list[str]:
    """One line that names the rows which did not take turns with the reference, where there are any."""
    cells = [str(row.record.cell) for row in rows if row.pairing == "sequential"]
    alone = f"only {percent(SEQUENTIAL_FLOOR)} and more is FASTER or SLOWER"
    return [f"timed after the reference, not in turns with it ({alone}): {', '.join(cells)}"] if cells else []


def floors(rows: Sequence[Row]) -> str:
    """The noise floors that verdicts were held against, in words; empty where there is no verdict."""
    found = sorted({row.floor for row in rows if row.verdict})
    span = dict.fromkeys(percent(floor) for floor in found[:1] + found[-1:])
    return f"Noise floor: {' to '.join(span)}." if span else ""
