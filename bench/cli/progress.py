"""The live display of a run: the cell in progress, what it does, how many are done, the time left.

It is drawn when something happens and at no other time: a thread that redraws four times a second would run
on the processors that are being measured.
"""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.record import Record
from weighbridge.bench.report.units import seconds

WORTH_A_LINE_S = 2.0


class Display:
    """A `bench.run.runner.Watcher` on a terminal; without one it prints a line a finished cell."""

    def __init__(self, console: Console, done: int, total: int) -> None:
        self.console, self.done, self.total = console, done, total
        self.skipped_before = done
        self.begin = time.monotonic()
        self.cell: Cell | None = None
        self.doing, self.fraction = "", None
        self.live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Display:
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def started(self, cell: Cell) -> None:
        """A cell's turn has come."""
        self.cell, self.doing, self.fraction = cell, "starting", None
        self._draw()

    def prepared(self, cell: Cell, took_s: float) -> None:
        """Say so where it took long, and do not count it: cells to come are not prepared again."""
        self.begin += took_s
        if took_s >= WORTH_A_LINE_S:
            line = f"{cell.task}[{cell.preset}] {cell.scenario}: the reference is prepared  ({seconds(took_s)})"
            self.live.console.print(Text(line), soft_wrap=True)

    def phase(self, name: str) -> None:
        """Show what it does now."""
        self.doing, self.fraction = name, None
        self._draw()

    def progress(self, fraction: float) -> None:
        """Show how far that is; drawn by whole percents only."""
        if self.fraction is None or fraction - self.fraction >= 0.01:
            self.fraction = fraction
            self._draw()

    def finished(self, record: Record) -> None:
        """A cell is done."""
        self.done += 1
        reason = f": {record.reason}" if record.reason else ""
        took = f"  ({seconds(record.wall_s)})" if record.wall_s else ""
        line = f"[{self.done}/{self.total}] {record.cell}  {record.status}{reason}{took}"
        self.live.console.print(Text(line), soft_wrap=True)
        self._draw()

    def passed(self, line: str) -> None:
        """Something is done that is no cell's record."""
        self.done += 1
        self.live.console.print(Text(f"[{self.done}/{self.total}] {line}"), soft_wrap=True)
        self._draw()

    def left_out(self, cells: int) -> None:
        """So many will not be weighed after all."""
        self.total -= cells

    def time_left_s(self) -> float | None:
        """The mean of the cells done in this session, times those left; None before the first."""
        here = self.done - self.skipped_before
        return (time.monotonic() - self.begin) / here * (self.total - self.done) if here else None

    def _draw(self) -> None:
        if not self.console.is_terminal:
            return
        left = self.time_left_s()
        percent = "" if self.fraction is None else f" {self.fraction:.0%}"
        about = "" if left is None else "  about {}:{:02} left".format(*divmod(round(left), 60))
        self.live.update(
            Text(f"{self.done}/{self.total} done{about}  {self.cell}  {self.doing}{percent}"), refresh=True
        )
