"""The command `export`: a model into files of another program, proven by opening them in a fresh process.

Exit codes: 0 fine; 1 the files compute something else, could not be made, or were changed; 2 the request was wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from weighbridge.bench.cli import console
from weighbridge.bench.cli.console import Json, NoProgress, Preset, TimeLimit, Weights
from weighbridge.bench.cli.progress import Display
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.report import model_card
from weighbridge.bench.report.model_card import worst
from weighbridge.bench.report.units import number
from weighbridge.bench.run import cards, exporting
from weighbridge.bench.run.exporting import Exporting
from weighbridge.bench.run.registry import TASKS
from weighbridge.bench.storage import exports
from weighbridge.bench.storage.exports import ModelCard, Proof

AGAIN = "nothing was written; type the same command"


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("export")(export_command)


def export_command(
    task: Annotated[str, typer.Argument(metavar="[TASK]", help="Its name, or a file such as ./mine.py.")] = "",
    form: Annotated[
        str, typer.Option("--format", help="What backends export to; a wrong one is answered with those there are.")
    ] = "",
    check: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Prove an exported folder again, in place of exporting.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="Who writes it, where several can; with --check, who opens it. Default: the first.")
    ] = "",
    preset: Preset = "small",
    precision: Annotated[str, typer.Option(help="fp32, bf16, ...")] = "fp32",
    weights: Weights = "",
    out_folder: Annotated[Path | None, typer.Option("--out", help="Default: exports/<task>-<preset>-<format>.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Make an export anew that stands there already.")] = False,
    time_limit: TimeLimit = 1800.0,
    no_progress: NoProgress = False,
    json: Json = False,
) -> None:
    """Writes a model to another program's files, opens them in a fresh process, and proves that they say the same."""
    with console.interruptible(AGAIN):
        if check:
            if task or form:
                raise WeighbridgeError("--check takes the task and the format from the folder: leave them out")
            check_folder(check, backend, weights, time_limit, json)
            return
        if not task or not form:
            known = ", ".join(exporting.formats())
            raise WeighbridgeError(f"name a task and a --format from {known}; or a folder to --check")
        (name,) = cards.named([task], TASKS)[:1]
        wanted = exporting.asked(
            name, form, backend=backend, preset=preset, precision=precision, weights=weights, time_limit_s=time_limit
        )
        card = _export(wanted, out_folder or default_folder(name, preset, form, precision), force)
    if json:
        console.print_json(card)
    if not card.passed:
        raise typer.Exit(1)


def default_folder(task: str, preset: str, form: str, precision: str) -> Path:
    """Named by what is in it."""
    return Path("exports", "-".join([task, preset, form, *([precision] if precision != "fp32" else [])]))


def _export(wanted: exporting.Asked, folder: Path, force: bool) -> ModelCard:
    with exports.in_place_of(folder, force) as made:
        with Display(console.progress, done=0, total=1) as display:
            card = Exporting(wanted, made, display).export()
        exports.write(made, card, model_card.render(card))
    told = f"{_verdict(card.proofs)}; {model_card.score(card) or 'no score'}; {model_card.weight(card.size_bytes)}"
    console.err.print(Text(f"Wrote {folder}/: {told}"), soft_wrap=True)
    return card


def check_folder(folder: Path, backend: str, weights: str, time_limit_s: float, json: bool) -> None:
    """Says in one line whether a folder is what its card says; ends the command with 1 where it computes otherwise."""
    with Display(console.progress, done=0, total=1) as display:
        card, tried = exporting.check(
            folder, backend=backend, weights=weights, time_limit_s=time_limit_s, watcher=display
        )
    if json:
        console.print_json({"card": msgspec.to_builtins(card), "proofs": msgspec.to_builtins(tried.proofs)})
    else:
        files = f"{len(card.files)} file{'s' if len(card.files) > 1 else ''} as the card says"
        console.out.print(Text(f"{folder}/: {files}; {_verdict(tried.proofs)}"), soft_wrap=True)
    if not all(proof.parity.passed for proof in tried.proofs):
        raise typer.Exit(1)


def _verdict(proofs: list[Proof]) -> str:
    found, rows = worst(proofs), ", ".join(str(proof.rows) for proof in proofs)
    passed = all(proof.parity.passed for proof in proofs)
    parity = f"error {model_card.error(found)} of the reference's, limit {number(found.parity.limit)}, at {rows} rows"
    same = min((each.parity.decisions_equal for each in proofs if each.parity.decisions_equal is not None), default=1.0)
    decided = "" if same == 1.0 else f", {same:.2%} of decisions equal"
    return f"{'same answers' if passed else 'OTHER ANSWERS'} ({parity}{decided})"
