"""The commands that measure this machine and no backend: calibrate, peaks."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from weighbridge.bench.cli import console
from weighbridge.bench.cli.console import AllocatorName, Device, EffortName, Json, Many, err, out, print_json, words
from weighbridge.bench.cli.progress import Display
from weighbridge.bench.core.effort import effort
from weighbridge.bench.measure import allocator, noise
from weighbridge.bench.report.units import interval, scaled
from weighbridge.bench.run import calibrate, jobs, registry
from weighbridge.bench.run.peaks import measure_peaks
from weighbridge.bench.storage import calibration, known_peaks, packages


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("calibrate")(calibrate_command)
    app.command("peaks")(peaks_command)


def calibrate_command(
    context: typer.Context,
    suite: Annotated[str, typer.Option(help="The suite whose reference cells are compared with themselves.")] = "quick",
    tasks: Many = "",
    backends: Annotated[str, typer.Option(help="Names, separated by commas. Default: the reference.")] = "",
    scenarios: Many = "",
    device: Device = "",
    pairs: Annotated[int, typer.Option(help="How many comparisons of each kind of cell.", min=5, max=10**6)] = 20,
    effort_name: EffortName = "quick",
    allocator_name: AllocatorName = "keep",
    json: Json = False,
) -> None:
    """Measures this machine's noise floors: each kind of cell against itself, over and over. `run` goes by them."""
    filters = console.filters(console.request(context))
    planned, chosen, pages = jobs.prepare(suite, filters), effort(effort_name), allocator.chosen(allocator_name)
    planned = planned if filters.backends else calibrate.of_the_reference(planned)
    count = pairs * len(planned.cells)
    with Display(err, done=0, total=count) as display:

        def tell(pair: calibrate.Pair) -> None:
            display.passed(f"{pair.cell}  {interval(pair.ratio)}")

        compared = calibrate.compare_programs(planned, count, chosen, display, allocator=pages, tell=tell)
        found = calibrate.calibrate(compared, chosen, pages)
    if json:
        return print_json(found)
    for kind in found:
        out.print(Text(calibrated(kind), style="" if kind.sound else "yellow"), soft_wrap=True)
    err.print(Text(f"Wrote {calibration.path(packages.cache_folder(), chosen.name, pages)}"), soft_wrap=True)
    return None


def calibrated(kind: noise.Kind) -> str:
    """A kind in one line, with what becomes of a floor that lets too many false verdicts through."""
    runs = "not known" if kind.between_runs is None else f"{kind.between_runs:.1%}"
    text = (
        f"{kind.cell}: floor {kind.floor or 0:.2%}, from {kind.pairs} comparisons of equal programs, of which "
        f"{kind.false_verdicts or 0:.1%} had a verdict; between runs {runs}."
    )
    if kind.sound:
        return text
    return f"{text} Too many had one: verdicts go by {kind.usable_floor:.2%}, the furthest from 1; calibrate again."


def peaks_command(
    device: Device = "cpu",
    precisions: Annotated[str, typer.Option(help="Names, separated by commas.")] = "fp32",
    reference: Annotated[str, typer.Option(help="Whose product and copy are measured; default: suite quick's.")] = "",
    json: Json = False,
) -> None:
    """Measures what this machine can do at most: operations and bytes a second. Later runs tell their share of it."""
    found = measure_peaks(reference or str(registry.suite("quick")["reference"]), device, words(precisions))
    if json:
        return print_json(found)
    for precision, rate in found.flops_per_s.items():
        out.print(Text(f"{precision}: {scaled(rate, 'FLOP/s')}, a product of two large matrices"))
    out.print(Text(f"memory: {scaled(found.bytes_per_s, 'B/s')}, read and written by a large copy"))
    err.print(Text(f"Wrote {known_peaks.path(packages.cache_folder(), found.device)}"))
    return None
