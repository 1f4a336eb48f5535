"""Rows and what is said of all of them at once: computed once, rendered three times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.report import two_readers
from weighbridge.bench.report.absent import absent
from weighbridge.bench.report.answer import Answers, Gap, answers, gaps
from weighbridge.bench.report.moving import lead
from weighbridge.bench.report.processors import Processors, processors
from weighbridge.bench.report.sampling import Shown, sampled
from weighbridge.bench.report.sections import sections
from weighbridge.bench.report.sections.section import Section

MOST_ANSWERS = 60
MOST_NAMED = 5


class Overview:
    """The rows of one run or several, the reference that ratios are to, and lines of report.csv written already."""

    def __init__(self, rows: Sequence[Row], reference: str, lines: Sequence[str] = ()) -> None:
        self.rows, self.reference, self.lines = rows, reference, lines

    @cached_property
    def counts(self) -> Counter[str]:
        """Count how many rows ended in which status."""
        return Counter(row.record.status for row in self.rows)

    @property
    def ended(self) -> str:
        """`9 ok, 1 skipped, 1 crashed`."""
        return ", ".join(f"{count:,} {status}" for status, count in self.counts.items())

    @cached_property
    def lead(self) -> list[str]:
        """Say first what moving gains and costs: over all tasks, a sentence for each backend that could be moved to."""
        return lead([move for answer in self.answers.found for move in answer.moves], self.answers.left_out)

    @cached_property
    def title(self) -> str:
        """Return the first of these sentences, or what was weighed where there is nothing to compare."""
        return self.lead[0] if self.lead else self.weighed

    @cached_property
    def weighed(self) -> str:
        """Say what was weighed, where, when, in one sentence."""
        if not self.rows:
            return "Nothing was weighed."
        cells = [row.record.cell for row in self.rows]
        what = f"{named('task', (cell.task for cell in cells))} on {named('backend', (cell.backend for cell in cells))}"
        where = named("machine", (row.machine for row in self.rows if row.machine))
        when = span(sorted({row.record.started for row in self.rows} - {""}))
        words = f"{self.counts['ok']:,} of {len(self.rows):,} cells weighed: {what}"
        lacking = f"not weighed: {self.not_weighed}" if self.not_weighed else ""
        return "; ".join(filter(None, (words, ", ".join(filter(None, (where, when))), lacking))) + "."

    @cached_property
    def sureness(self) -> str:
        """Say of how many processes and runs the figures are."""
        counts = sorted({row.processes for row in self.rows if row.record.status == "ok"})
        if not counts:
            return ""
        span = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        processes = "one process a cell" if counts == [1] else f"{span} processes a cell"
        runs = len({row.run for row in self.rows})
        return f"Of {processes}, {f'{runs} runs' if runs > 1 else 'one run'}; 95 % intervals."

    @cached_property
    def not_weighed(self) -> str:
        """Backends that could have been weighed beside what was, and on what; empty where records do not say."""
        return absent(self.rows)

    @cached_property
    def answers(self) -> Answers:
        """The fastest that is still right, per task."""
        return answers(self.rows, self.reference, MOST_ANSWERS)

    @cached_property
    def gaps(self) -> list[Gap]:
        """Return what was skipped, failed or not compared."""
        return gaps(self.rows)

    @cached_property
    def processors(self) -> Processors | None:
        """Ratios on each processor, where there are several."""
        return processors(self.rows)

    @cached_property
    def sections(self) -> list[Section]:
        """Return what scenarios say of their own rows."""
        return sections(self.rows)

    @cached_property
    def shown(self) -> Shown:
        """The rows that a page can hold, with all of their records."""
        return sampled(self.rows, two_readers.whole)


def named(what: str, names: Iterable[str]) -> str:
    """The names, or how many there are."""
    found = list(dict.fromkeys(names))
    return ", ".join(found) if len(found) <= MOST_NAMED else f"{len(found):,} {what}s"


def span(started: Sequence[str]) -> str:
    """`2026-11-23` of ISO times, or the first day and the last; a text that is no time as it is."""
    return " to ".join(dict.fromkeys(day(time) for time in (*started[:1], *started[-1:])))


def day(started: str) -> str:
    """The day, UTC."""
    try:
        return f"{datetime.fromisoformat(started).astimezone(UTC):%Y-%m-%d}"
    except ValueError:
        return started
