"""What the files of the command line share: where they print, and the options that they have in common."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Container, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from weighbridge.bench.core.cell import MOST_ROWS
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.settings import typed as typed_pairs
from weighbridge.bench.report.sections.section import Grid, Section
from weighbridge.bench.report.visible import json_for_terminal, visible
from weighbridge.bench.run.plan import Filters
from weighbridge.bench.storage.request import Request


class PlainConsole(Console):
    """A console on which text commands nothing: what a renderable writes is shown, only rich's own codes are sent."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield segments, with control characters as text."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)


out, err, progress = PlainConsole(), PlainConsole(stderr=True), PlainConsole(stderr=True)
MOST_S = 1e7
"""Four months: longer than anybody waits, and short enough for every clock."""
TimeLimit = Annotated[float, typer.Option(help="Seconds that one cell may take.", min=0.001, max=MOST_S)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Many = Annotated[str, typer.Option(help="Names, separated by commas.")]
Nouns = Annotated[str, typer.Option(help="Names, or files such as ./mine.py, separated by commas.")]
Preset = Annotated[str, typer.Option(help="small, base, ...")]
Device = Annotated[str, typer.Option(help="cpu, cuda, tpu.")]
EffortName = Annotated[
    str, typer.Option("--effort", "--tier", help="quick, standard or strict: 3, 5 or 9 processes a cell.")
]
AllocatorName = Annotated[
    str,
    typer.Option("--allocator", help="Of all workers: keep (their pages), stock, huge, jemalloc or tcmalloc."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("-S", "--setting", metavar="KEY=VALUE", help="Of a scenario; `list` shows which there are."),
]
Option = Annotated[
    list[str] | None,
    typer.Option("-O", "--option", metavar="KEY=VALUE", help="Of a backend; `list` shows which there are."),
]


def _silent(asked: bool) -> bool:
    progress.quiet = progress.quiet or asked
    return asked


NoProgress = Annotated[
    bool, typer.Option("--no-progress", callback=_silent, help="Tell nothing of cells while they are weighed.")
]
Quiet = Annotated[
    bool, typer.Option("-q", "--quiet", callback=_silent, help="The answer alone: no progress, no table.")
]
Weights = Annotated[
    str, typer.Option(help="A safetensors file, or a folder that holds model.safetensors, for the model that is named.")
]
OutFolder = Annotated[Path | None, typer.Option("--out", help="Default: results/<machine>/<date>-<commit>.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on in --out, or in this machine's last run.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Go on, and weigh again what failed.")]
UNASKED = ("out", "resume", "retry-failed", "time-limit", "plan", "json", "no-progress", "quiet")
"""Options that change nothing of what was measured."""
FILES = {"tasks": ".py", "backends": ".py", "suite": ".toml"}
"""Options that may name files, and how such a name ends."""


def options(context: typer.Context) -> dict[str, str]:
    """Return the name of each parameter of the command and its option, without dashes."""
    return {
        str(each.name): max(each.opts, key=len).lstrip("-") for each in context.command.params if each.name != "help"
    }


def request(context: typer.Context) -> Request:
    """Return what the command is asked."""
    asked = {option: context.params[name] for name, option in options(context).items() if option not in UNASKED}
    for option, value in asked.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise WeighbridgeError(f"--{option} takes a number, not {value:g}")
    asked |= {option: _placed(asked[option]) for option in FILES if FILES[option] in asked.get(option, "")}
    asked |= {option: str(Path(asked[option]).resolve()) for option in ("weights",) if asked.get(option)}
    return Request(command=str(context.info_name), options=asked)


def _placed(text: str) -> str:
    """Names as they are, files by their whole path: a run may be resumed from another folder."""
    named = tuple(set(FILES.values()))
    return ",".join(str(Path(word).resolve()) if word.endswith(named) else word for word in words(text))


def typed(context: typer.Context) -> set[str]:
    """Return the options among `request` that stand on the command line; the others have their defaults."""
    sources = {option: context.get_parameter_source(name) for name, option in options(context).items()}
    return {name for name, source in sources.items() if name not in UNASKED and source and source.name == "COMMANDLINE"}


def filters(asked: Request, **fixed: Any) -> Filters:
    """Return what a request's options narrow a suite to; `fixed` is what the command does not leave open."""
    chosen = asked.options
    found = Filters(
        tasks=words(chosen["tasks"]),
        backends=words(chosen["backends"]),
        scenarios=words(chosen.get("scenarios", "")),
        precisions=words(chosen.get("precisions", "")),
        batch_sizes=sizes(chosen.get("batch-sizes", "")),
        presets=words(chosen.get("preset", "")),
        device=chosen["device"],
        settings={**typed_pairs("-S", chosen.get("setting") or ()), **_lengths(chosen.get("lengths", ""))},
        options=typed_pairs("-O", chosen.get("option") or ()),
    )
    return msgspec.structs.replace(found, **fixed)


def _lengths(text: str) -> dict[str, str]:
    return {"length": text} if words(text) else {}


def print_section(found: Section) -> None:
    """Print what a scenario says of its rows; text is shown as it is."""
    for grid in found.grids:
        if grid.title:
            out.print(Text(grid.title, style="bold"))
        if grid.sentence:
            out.print(Text(f"  {grid.sentence}"))
        if grid.narrow:
            at = [list(grid.headings).index(heading) for heading in grid.narrow]
            print_table(grid.narrow, [[line[place] for place in at] for line in grid.lines], whole=[0])
        else:
            _print_lists(grid)
        for told in grid.below:
            out.print(Text(f"  {told}"))


def _print_lists(grid: Grid) -> None:
    for name, *texts in grid.lines:
        out.print(Text(name, style="bold"))
        told = [(f"  {heading} ", text) for heading, text in zip(grid.headings[1:], texts, strict=True) if text]
        print_table(["", ""], told, whole=[0])


def print_rows(rows: Sequence[Mapping[str, object]]) -> None:
    """Rows of equal keys as a table."""
    print_table([*rows[0]] if rows else [], [[*row.values()] for row in rows], whole=[0])


def print_table(
    headings: Sequence[str],
    lines: Iterable[Sequence[object]],
    whole: Container[int] = (),
    style: Callable[[Sequence[object]], str] = lambda line: "",
) -> None:
    """Print lines under their headings; text is shown as it is. Columns in `whole` are never wrapped."""
    table = Table(box=None, header_style="bold", pad_edge=False, show_header=any(headings))
    for at, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=at in whole)
    for line in lines:
        table.add_row(*(Text(_text(value), style=style(line)) for value in line))
    out.print(table)


def _text(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


@contextmanager
def interruptible(how: str) -> Generator[None]:
    """End an interrupted command with exit code 130 and one line that says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise CutShortError(f"interrupted; {how} to go on") from None


class CutShortError(WeighbridgeError):
    """A command that the user ended."""

    code = 130


SAME_COMMAND = "type the same command with --resume"


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str)).decode()
    sys.stdout.write(json_for_terminal(text) + "\n")


def words(text: str) -> list[str]:
    """`a, b` -> ["a", "b"]."""
    return [word.strip() for word in text.split(",") if word.strip()]


def sizes(text: str) -> list[int]:
    """`8, 16` -> [8, 16]; raises WeighbridgeError for anything else."""
    found = [int(word) if word.isdecimal() and len(word) <= len(str(MOST_ROWS)) else 0 for word in words(text)]
    if any(not 1 <= size <= MOST_ROWS for size in found):
        raise WeighbridgeError(f"--batch-sizes takes whole numbers from 1 to {MOST_ROWS}, not {text[:80]!r}")
    return found
