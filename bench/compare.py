"""Records against the reference's in their group, or a run against another. Pure.

A ratio is the reference's median step over the backend's: 2 means half the time. It is given only where parity
passed, the quality gate holds and both sides stood on equal footing (MEASURING.md, rules 17 and 23); otherwise
the row says why it has none. Intervals and verdicts are not improvised here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from bench import stats
from bench.core import Target
from bench.record import Record

GATE = 0.99
FOOTING = ("weights_hash", "batch_hash", "threads", "precision")
"""Facts that must agree; each backend reads them back from its framework."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A record with what follows from it. Times in seconds, memory in bytes, rates per second."""

    record: Record
    step_s: float | None = None
    rate: float | None = None
    """Items a second: of queued steps, or of synchronised ones where a step is longer than a block."""
    first_token_s: float | None = None
    token_s: float | None = None
    """Seconds a token after the first."""
    ratio: float | None = None
    no_ratio: str = ""
    score: float | None = None
    gate_passed: bool = True

    @property
    def metric(self) -> str:
        """The name of the score that is compared."""
        return self.record.about.target.metric if self.record.about else ""


def rows(records: Iterable[Record], reference: str) -> list[Row]:
    """One row a record, in order."""
    records = list(records)
    references = {record.cell.group: record for record in records if record.cell.backend == reference}
    return [row(record, references.get(record.cell.group)) for record in records]


def row(record: Record, reference: Record | None) -> Row:
    """A record's figures, and its ratio to `reference` where there may be one."""
    passed = gate_passed(record, reference)
    why = why_no_ratio(record, reference, passed)
    ratio = None if why or reference is None else stats.median(reference.step_s) / stats.median(record.step_s)
    return Row(
        record=record, ratio=ratio, no_ratio=why, score=main_score(record), gate_passed=passed, **figures(record)
    )  # fmt: skip


def figures(record: Record) -> dict[str, Any]:
    """Medians of the raw samples."""
    if record.status != "ok" or not record.step_s:
        return {}
    step_s = stats.median(record.step_s)
    found: dict[str, Any] = {"step_s": step_s}
    found["rate"] = record.items_per_step / stats.median(record.queued_step_s or record.step_s)
    if record.first_token_s:
        first = stats.median(record.first_token_s)
        later = record.items_per_step // record.cell.batch_size - 1
        found |= {"first_token_s": first, "token_s": (step_s - first) / later if later else None}
    return found


def main_score(record: Record) -> float | None:
    """The figure that the task's target names; None where there is none or its weights are random."""
    if record.about is None or record.about.weights == "seeded":
        return None
    return record.score.get(record.about.target.metric)


def gate_passed(record: Record, reference: Record | None) -> bool:
    """Whether the score reaches 99 % of the reference's on the same weights; true where there is no score."""
    ours, theirs = main_score(record), main_score(reference) if reference else None
    if ours is None or theirs is None or record.about is None:
        return True
    return reaches(ours, theirs, record.about.target)


def reaches(score: float, of: float, target: Target) -> bool:
    """Whether `score` is within 1 % of `of`, or better."""
    slack = (1 - GATE) * abs(of)
    return score >= of - slack if target.higher_is_better else score <= of + slack


def why_no_ratio(record: Record, reference: Record | None, passed: bool) -> str:
    """Empty where a ratio is honest."""
    if record.status != "ok":
        return record.reason or record.status
    if reference is None or reference.status != "ok":
        return "no reference measured beside it"
    if not passed:
        return "score under 99 % of the reference's"
    differing = [name for name in FOOTING if _differ(record.facts, reference.facts, name)]
    return "; ".join(
        f"{name} {record.facts.get(name)} against {reference.facts.get(name)}" for name in differing
    )  # fmt: skip


def _differ(ours: Mapping[str, Any], theirs: Mapping[str, Any], name: str) -> bool:
    return name in ours and name in theirs and ours[name] != theirs[name]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One cell in two runs; None where a run has no figure of it."""

    cell: str
    before_s: float | None
    after_s: float | None
    before_status: str
    after_status: str

    @property
    def ratio(self) -> float | None:
        """Before over after: 2 means half the time now."""
        return self.before_s / self.after_s if self.before_s and self.after_s else None


def changes(before: Sequence[Record], after: Sequence[Record]) -> list[Change]:
    """Two runs, paired by cell; a cell that one side lacks is `missing` there."""
    old, new = ({record.cell.id: record for record in records} for records in (before, after))
    return [_change(old.get(identity), new.get(identity)) for identity in dict.fromkeys([*old, *new])]


def _change(old: Record | None, new: Record | None) -> Change:
    known = old or new
    assert known
    return Change(
        cell=str(known.cell),
        before_s=figures(old).get("step_s") if old else None,
        after_s=figures(new).get("step_s") if new else None,
        before_status=old.status if old else "missing",
        after_status=new.status if new else "missing",
    )
