"""What a row says of its record alone: medians, rates and page faults of raw samples. Pure."""

from __future__ import annotations

from typing import NamedTuple

from weighbridge.bench.core.record import Record
from weighbridge.bench.measure import statistics
from weighbridge.bench.measure.sides import Side
from weighbridge.bench.measure.speeds import Speeds


class Own(NamedTuple):
    """Fields of a row that hang on its record alone."""

    steps: int = 0
    step_s: float | None = None
    rate: float | None = None
    rate_interval: statistics.Interval | None = None
    rate_crowded: bool = False
    first_token_s: float | None = None
    token_s: float | None = None
    faults: float | None = None
    fault_share: float | None = None
    speeds: Speeds | None = None


def own(this: Side) -> Own:
    """Medians of the raw samples; of what is implausible, too, so that it can be struck out."""
    record, step_s, steps = this.record, this.step_s, this.samples
    if record.status not in ("ok", "implausible") or not steps:
        return Own(steps)
    rate, interval, crowded = throughput(this)
    faults, share = page_faults(record, step_s)
    first_s, token_s = tokens(record, step_s)
    return Own(steps, step_s, rate, interval, crowded, first_s, token_s, faults, share, this.steps.speeds)


def tokens(record: Record, step_s: float) -> tuple[float | None, float | None]:
    """Seconds to the first token, and of each later one."""
    if not (taken := record.first_token_s):
        return None, None
    first_s = statistics.median(taken)
    later = record.items_per_step // record.cell.batch_size - 1
    return first_s, (step_s - first_s) / later if later else None


def throughput(this: Side) -> tuple[float | None, statistics.Interval | None, bool]:
    """Items a second, with an interval where queued blocks were part of the turns, and whether all were crowded.

    Of the quiet ones, if there are any.
    """
    record, every, quiet = this.record, this.queued.every, this.queued.quiet
    if not every:
        queued_s = statistics.median(record.queued_step_s) if record.queued_step_s else this.step_s
        return record.items_per_step / queued_s if queued_s > 0 and record.items_per_step else None, None, False
    known = quiet if quiet is every else statistics.known(quiet)
    crowded = not any(known)
    seconds = statistics.interval(every if crowded else known)
    ends = [record.items_per_step / each for each in (seconds.value, seconds.high, seconds.low)]
    return ends[0], statistics.Interval(*ends), crowded


def page_faults(record: Record, step_s: float) -> tuple[float | None, float | None]:
    """Minor faults a step, and the share of the step that they take."""
    counted = [statistics.median(process) for process in record.minor_faults if process]
    if not counted:
        return None, None
    faults = statistics.median(counted)
    cost_s = record.facts.get("fault_cost_s")
    if not isinstance(cost_s, int | float) or not step_s > 0:
        return faults, None
    return faults, faults * cost_s / step_s
