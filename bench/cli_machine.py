"""The commands that measure this machine and no backend: calibrate, peaks."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from bench import application, calibrate, data, noise, peaks
from bench.console import Device, Json, Many, TierName, err, out, print_json, words
from bench.display import Display
from bench.plan import Filters
from bench.report.figures import interval, scaled
from bench.tier import tier


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("calibrate")(calibrate_command)
    app.command("peaks")(peaks_command)


def calibrate_command(
    suite: Annotated[str, typer.Option(help="The suite whose reference cells are compared with themselves.")] = "quick",
    tasks: Many = "",
    scenarios: Many = "",
    device: Device = "",
    pairs: Annotated[int, typer.Option(help="How many comparisons.", min=5)] = 20,
    tier_name: TierName = "quick",
    json: Json = False,
) -> None:
    """Measures this machine's noise floor: the reference against itself, over and over. `run` goes by it."""
    filters = Filters(tasks=words(tasks), scenarios=words(scenarios), device=device)
    planned, chosen = application.prepare(suite, filters), tier(tier_name)
    with Display(err, done=0, total=pairs) as display:

        def tell(pair: calibrate.Pair) -> None:
            display.passed(f"{pair.cell}  {interval(pair.ratio)}")

        found = calibrate.calibrate(calibrate.compare_programs(planned, pairs, chosen, display, tell=tell), chosen)
    if json:
        return print_json(found)
    out.print(
        Text(f"Noise floor {found.floor:.2%}, from {found.pairs} comparisons of equal programs, tier {found.tier}.")
    )
    out.print(Text(f"False verdicts at that floor: {found.false_verdicts:.1%}."))
    err.print(Text(f"Wrote {noise.path(data.cache_folder(), found.tier)}"))
    return None


def peaks_command(
    device: Device = "cpu",
    precisions: Annotated[str, typer.Option(help="Names, separated by commas.")] = "fp32",
    reference: Annotated[str, typer.Option(help="Whose product and copy are measured.")] = "torch",
    json: Json = False,
) -> None:
    """Measures what this machine can do at most: operations and bytes a second. Later runs tell their share of it."""
    found = application.measure_peaks(reference, device, words(precisions))
    if json:
        return print_json(found)
    for precision, rate in found.flops_per_s.items():
        out.print(Text(f"{precision}: {scaled(rate, 'FLOP/s')}, a product of two large matrices"))
    out.print(Text(f"memory: {scaled(found.bytes_per_s, 'B/s')}, read and written by a large copy"))
    err.print(Text(f"Wrote {peaks.path(data.cache_folder(), found.device)}"))
    return None
