"""The commands `run` and `compare` for a notebook: the same request, and a result that shows itself."""

from __future__ import annotations

import html as escaping
import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from weighbridge.bench.analysis import gate, ratios, summary
from weighbridge.bench.analysis.runs import failed
from weighbridge.bench.cli import console
from weighbridge.bench.cli.compare import reference_of
from weighbridge.bench.cli.run import weigh
from weighbridge.bench.cli.thresholds import thresholds
from weighbridge.bench.core.effort import effort as effort_called
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure import allocator as allocators
from weighbridge.bench.report import changes, html, terminal
from weighbridge.bench.report.overview import Overview
from weighbridge.bench.run import folders, jobs
from weighbridge.bench.storage.journals import existing
from weighbridge.bench.storage.request import Request

if TYPE_CHECKING:
    import pandas as pd

PAGE = (
    '<iframe srcdoc="{}" sandbox="allow-scripts" title="Weighbridge" style="width:100%;height:40rem;border:0"></iframe>'
)
"""The report's own page, shut off from the notebook's: texts in it come from records."""


class Weighed:
    """A run that has ended: its folder and records; a notebook shows its report, with table and plots."""

    def __init__(self, folder: Path, records: Sequence[Record], reference: str, is_failed: bool) -> None:
        self.folder, self.records, self.reference, self.failed = folder, list(records), reference, is_failed

    @cached_property
    def _overview(self) -> Overview:
        return Overview(ratios.rows(self.records, self.reference), self.reference)

    def frame(self, samples: bool = False) -> pd.DataFrame:
        """One row a cell, or one a timed step; columns as of `weighbridge.frame`."""
        from weighbridge.bench.report import frame

        return frame.samples(self._overview.rows) if samples else frame.frame(self._overview.rows)

    def __repr__(self) -> str:
        told = io.StringIO()
        console.PlainConsole(width=120, file=told).print(terminal.render(self._overview))
        return f"{told.getvalue()}{self.folder}"

    def _repr_html_(self) -> str:
        return PAGE.format(escaping.escape(html.render(self._overview), quote=True))


class Compared:
    """Two runs side by side: whether the second got worse, and in what."""

    def __init__(self, outcome: gate.Outcome) -> None:
        self.outcome, self.failed = outcome, outcome.failed

    def frame(self) -> pd.DataFrame:
        """One row a cell of either run: its word, and what changed."""
        import pandas as pd

        rows, _ = changes.shown(self.outcome, len(self.outcome.changes))
        return pd.DataFrame(rows, columns=list(changes.HEADINGS))

    def __repr__(self) -> str:
        return changes.headline(self.outcome)

    def _repr_markdown_(self) -> str:
        return changes.markdown(self.outcome)


def run(
    tasks: Sequence[str] = (),
    backends: Sequence[str] = (),
    *,
    suite: str = "quick",
    reference: str = "",
    scenarios: Sequence[str] = (),
    precisions: Sequence[str] = (),
    batch_sizes: Sequence[int] = (),
    lengths: Sequence[int] = (),
    preset: str = "",
    device: str = "",
    settings: Mapping[str, object] | None = None,
    options: Mapping[str, object] | None = None,
    effort: str = "quick",
    allocator: str = "keep",
    time_limit_s: float = 600.0,
    out: str | Path | None = None,
    progress: bool = True,
) -> Weighed:
    """What `weighbridge run` does with these options; raises WeighbridgeError where a request is wrong."""
    asked = Request(
        command="run",
        options={
            "suite": suite, "tasks": ",".join(tasks), "backends": ",".join(backends), "reference": reference,
            "option": _pairs(options), "scenarios": ",".join(scenarios), "setting": _pairs(settings),
            "precisions": ",".join(precisions), "batch-sizes": ",".join(map(str, batch_sizes)),
            "lengths": ",".join(map(str, lengths)), "preset": preset,
            "device": device, "effort": effort, "allocator": allocator,
        },
    )  # fmt: skip
    planned = jobs.compared(jobs.prepare(suite, console.filters(asked)), reference)
    how = folders.Options(
        out=Path(out) if out else None, time_limit_s=time_limit_s, effort=effort_called(effort),
        allocator=allocators.chosen(allocator), request=asked,
    )  # fmt: skip
    done = weigh(planned, how, console.err if progress else Console(quiet=True))
    return Weighed(done.folder, done.records, planned.ratios_to, failed(done.records, planned.asked))


def _pairs(given: Mapping[str, object] | None) -> list[str] | None:
    return [f"{name}={value}" for name, value in given.items()] if given else None


def compare(before: str | Path, after: str | Path, **limits: float | bool | None) -> Compared:
    """What `weighbridge compare` does; `limits` are speed, memory, score (shares) and require_all."""
    given = {name.replace("_", "-"): value for name, value in limits.items()}
    first, second = existing(Path(before)), existing(Path(after))
    return Compared(gate.judge(*summary.read_both(first, second), thresholds(given), reference_of(second)))
