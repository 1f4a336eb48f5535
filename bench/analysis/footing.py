"""Whether a record may have a ratio to the reference: right, then equal, then fast. Pure.

A ratio is given only where parity was shown, the quality gate holds and both sides stood on equal footing (measuring
rules 17, 19 and 23); otherwise the row says why it has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weighbridge.bench.analysis.row import processor
from weighbridge.bench.core.record import Record
from weighbridge.bench.core.task import Target
from weighbridge.bench.measure.sides import Side

GATE = 0.99
FOOTING = ("weights_hash", "batch_hash", "threads", "affinity", "precision", "scope", "host_allocator")
"""Facts that both sides must state, and alike; each backend reads them back from its framework. What is natural to a
backend (layout, compile_scope, graph_breaks, donation, cuda_graphs, prepacked) is disclosed, and bars nothing."""
STATED = ("ran_on",)
"""Facts that both sides must state where they could: a record of before a fact was asked for lacks it, and one whose
backend did not answer holds None. Whether it is the cell's own was seen when it was weighed."""
PROCESSOR = ("cpu", "instruction_set")
UNSTATED = "(not stated)"


def gate_passed(this: Side, reference: Side | None) -> bool:
    """Whether the score reaches 99 % of the reference's on the same weights; true where there is no score."""
    about = this.record.about
    if this.score is None or reference is None or reference.score is None or about is None:
        return True
    return reaches(this.score, reference.score, about.target)


def reaches(score: float, of: float, target: Target) -> bool:
    """Whether `score` is within 1 % of `of`, or better."""
    slack = (1 - GATE) * abs(of)
    return score >= of - slack if target.higher_is_better else score <= of + slack


def why_no_ratio(this: Side, that: Side | None, passed: bool) -> str:
    """Empty where a ratio is honest."""
    record, reference = this.record, that.record if that else None
    if record.status != "ok":
        return record.reason or record.status
    if that is None or reference is None or reference.status != "ok":
        return "no reference measured beside it"
    if not (this.steps.every and that.steps.every):
        return "its steps, or the reference's, are not times above zero that fill their blocks"
    if other := other_processor(record, reference):
        return other
    if not passed:
        return "score under 99 % of the reference's"
    if record.parity is None or not record.parity.passed:
        return "parity not shown"
    return unequal_footing(record.facts, reference.facts)


def other_processor(record: Record, reference: Record) -> str:
    """Return on which processors two cells of one run were measured, as a resumed run's may be; empty where on one."""
    ours, theirs = record.environment, reference.environment
    if ours is theirs:  # as most of a journal are
        return ""
    alike = all(not (ours.get(name) and theirs.get(name)) or ours[name] == theirs[name] for name in PROCESSOR)
    return "" if alike else f"measured on {processor(ours)}, the reference on {processor(theirs)}"


def unequal_footing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Return in what two cells were not treated alike; empty where in nothing."""
    differing = [name for name in FOOTING if (our := ours.get(name)) is None or our != theirs.get(name)]
    differing += [name for name in STATED if None in (ours.get(name, ""), theirs.get(name, ""))]
    return "; ".join(f"{name} {_stated(ours, name)} against {_stated(theirs, name)}" for name in differing)


def _stated(facts: Mapping[str, Any], name: str) -> Any:
    """Return a fact; what is not known is not stated."""
    value = facts.get(name)
    return UNSTATED if value is None else value
