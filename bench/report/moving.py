"""What moving a task gains and costs, in a sentence and in a line that can be acted on.

Correctness comes first, then speed, memory and compilation; a speed that is not settled is never called a gain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.record import Record
from weighbridge.bench.core.settings import words
from weighbridge.bench.report.texts import score, task
from weighbridge.bench.report.units import number, seconds, size, times, word

ALIKE = 0.1
"""A tenth more memory or less is not worth a decision."""
SPOKEN = {
    "FASTER": "faster",
    "SLOWER": "slower",
    "SAME": "speed the same on this machine",
    "UNSURE": "speed not settled",
}
SURER = {"quick": "standard", "standard": "strict"}
"""The effort that takes more processes."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A contender of a task beside the reference."""

    backend: str
    task: str
    answers_alike: bool
    """Whether it is right: parity and quality gate."""
    verdict: str
    """On its speed; empty where there is none."""
    sentence: str
    advice: str


def moves(group: Sequence[Row], reference: str) -> list[Move]:
    """One for each other camp's best row of a group; where there is no other camp, for the best other row."""
    ours = next((row for row in group if row.record.cell.is_reference(reference)), None)
    if ours is None:
        return []
    others = [row for row in group if row is not ours and row.record.status != "skipped"]
    abroad = [row for row in others if camp_of(row.record) != camp_of(ours.record)]
    camps: dict[str, list[Row]] = {}
    for row in abroad:
        camps.setdefault(camp_of(row.record), []).append(row)
    chosen = [*camps.values()] or ([others] if others else [])
    alone = not any(camp_of(row.record) == camp_of(ours.record) for row in others)
    return [move(max(rows, key=_standing), ours, alone) for rows in chosen]


def camp_of(record: Record) -> str:
    """Whose users run it; a record that does not say stands for itself."""
    return str(record.facts.get("camp") or record.cell.backend)


def _standing(row: Row) -> tuple[bool, float]:
    return row.right, row.ratio or 0.0


def move(row: Row, reference: Row, alone: bool = False) -> Move:
    """A row beside the reference's, which may have been alone: with no other row of its camp that needs no move."""
    cell = row.record.cell
    driven = [] if cell.scenario == "infer" else [cell.scenario]
    how = f" ({', '.join([*driven, f'batch {cell.batch_size}', *words(cell.settings)])})"
    clauses = [answers(row), *([] if row.step_s is None else [speed(row), memory(row, reference), compilation(row)])]
    return Move(
        backend=cell.executor,
        task=task(row) + how,
        answers_alike=row.right,
        verdict=row.verdict or "",
        sentence=f"{task(row)} on {cell.executor}{how}: {'; '.join(filter(None, clauses))}",
        advice=advice(row, reference, alone),
    )


def answers(row: Row) -> str:
    """Whether it computes the same."""
    record = row.record
    if record.status != "ok":
        return f"{record.status}, {record.reason}" if record.reason else record.status
    if record.parity is None:
        return "whether it answers the same was not shown"
    if not record.parity.passed:
        far = (
            "not finite" if record.parity.ratio is None else f"{number(record.parity.ratio)} of {record.parity.limit:g}"
        )
        return f"other answers, parity {far}"
    return "same answers" if row.gate_passed else f"worse answers, {score(row)}"


def speed(row: Row) -> str:
    """`faster, 1.24× [1.16, 1.32] of torch, 1.15× of torch-compile`, and the throughput where that says otherwise.

    A ratio of fewer blocks than an interval takes is told in the table alone: one quiet block of twenty has said 18
    where the medians said 9.
    """
    if not row.verdict:
        return f"speed not compared, {row.no_ratio}" if row.no_ratio else ""
    leaning = f" (leans {row.lean})" if row.lean else ""
    ratio = (
        f"{times(row.ratio, row.interval)} of {row.reference}" if row.interval else "too few quiet blocks for a ratio"
    )
    found = f"{SPOKEN[row.verdict]}{leaning}, {ratio}"
    if row.best_interval and row.best not in (row.reference, row.record.cell.executor):
        found += f", {times(row.best_ratio, row.best_interval)} of {row.best} ({word(row.best_verdict, row.best_lean)})"
    elsewhere = row.rate_verdict in ("FASTER", "SLOWER") and row.rate_verdict != row.verdict
    return found + (
        f"; in a queue {times(row.rate_ratio, row.rate_ratio_interval)}, {row.rate_verdict}" if elsewhere else ""
    )


def memory(row: Row, reference: Row) -> str:
    """`0.38× the host memory (328 MiB against 870 MiB)`."""
    where, ours, theirs = peaks(row, reference)
    if not ours or not theirs:
        return ""
    if abs(ours / theirs - 1) < ALIKE:
        return f"{where} memory the same ({size(ours)})"
    found = f"{size(ours)} against {size(theirs)}"
    above = above_import(row), above_import(reference)
    if where == "host" and above[0] is not None and above[1] is not None:
        found += f"; above the imports {size(above[0])} against {size(above[1])}"
    return f"{number(ours / theirs, digits=2)}× the {where} memory ({found})"


def above_import(row: Row) -> int | None:
    """Bytes of the host's that came after the framework was imported."""
    peak, imported = row.record.host_peak_bytes, row.record.host_import_bytes
    return None if peak is None or imported is None else max(0, peak - imported)


def peaks(row: Row, reference: Row) -> tuple[str, int | None, int | None]:
    """Where most memory matters, and bytes of both: on the device, where both say."""
    ours, theirs = row.record, reference.record
    if ours.device_peak_bytes is not None and theirs.device_peak_bytes is not None:
        return "device", ours.device_peak_bytes, theirs.device_peak_bytes
    return "host", ours.host_peak_bytes, theirs.host_peak_bytes


def compilation(row: Row) -> str:
    """How long the first call takes, from an empty cache."""
    return f"first call {seconds(row.record.compile_s)}" if row.record.compile_s is not None else ""


def advice(row: Row, reference: Row, alone: bool = False) -> str:
    """What to do with it, in one line."""
    if row.record.status != "ok":
        return "To move it was not shown to be possible."
    if not row.right:
        return "Do not move: no speed is worth another answer."
    gains, losses, open_ = _gains(row, reference), _losses(row, reference), _open(row)
    if alone and row.verdict == "FASTER":
        open_ = f"Open: no other {row.camp or row.reference} row, which needs no move, was weighed beside it."
    gained = f"To gain by moving: {', '.join(gains)}." if gains else "Nothing to gain by moving was shown."
    return " ".join(filter(None, (gained, f"To lose: {', '.join(losses)}." if losses else "", open_)))


def _gains(row: Row, reference: Row) -> list[str]:
    found: list[str] = []
    if row.verdict == "FASTER" and row.best_verdict != "SLOWER":
        found.append(f"speed, {times(row.ratio, None)} of {row.reference}")
    if row.rate_verdict == "FASTER" != row.verdict:
        found.append(f"throughput, {times(row.rate_ratio, None)}")
    where, ours, theirs = peaks(row, reference)
    if ours and theirs and ours < (1 - ALIKE) * theirs:
        found.append(f"{size(theirs - ours)} of {where} memory{_of_imports(row, reference)}")
    return found


def _of_imports(row: Row, reference: Row) -> str:
    """Whether it is the framework that is smaller, and not what the model takes."""
    ours, theirs = above_import(row), above_import(reference)
    if reference.record.device_peak_bytes is not None:
        return ""
    return " (the framework's imports alone)" if ours is not None and theirs is not None and ours >= theirs else ""


def _losses(row: Row, reference: Row) -> list[str]:
    found: list[str] = []
    if row.verdict == "SLOWER":
        found.append(f"speed, {times(row.ratio, None)} of {row.reference}")
    if row.rate_verdict == "SLOWER" != row.verdict:
        found.append(f"throughput, {times(row.rate_ratio, None)}")
    where, ours, theirs = peaks(row, reference)
    if ours and theirs and ours > (1 + ALIKE) * theirs:
        found.append(f"{size(ours - theirs)} of {where} memory")
    return found


def _open(row: Row) -> str:
    """What more measuring may settle, or what needs no move."""
    if row.verdict == "FASTER" and row.best_verdict == "SLOWER":
        return f"{row.best} is faster still, and needs no move."
    if row.verdict == "FASTER" and row.best_verdict == "UNSURE" and row.best != row.reference:
        return f"Open: whether it is faster than {row.best}, which needs no move{_surer(row)}."
    return f"Open: speed{_surer(row)}." if row.verdict == "UNSURE" else ""


def _surer(row: Row) -> str:
    crowded = [block for process in row.record.crowded for block in process]
    if 2 * sum(crowded) > len(crowded):
        return "; most blocks had a busy neighbour: weigh it again when there is none"
    more = SURER.get(row.record.tier)
    return f"; --effort {more} takes more processes" if more else ""


def lead(found: Iterable[Move], left_out: int = 0) -> list[str]:
    """First what a stranger asks: a sentence for the only task, or one for each backend over all tasks."""
    several: dict[str, list[Move]] = {}
    for each in found:
        several.setdefault(each.backend, []).append(each)
    return [_over_tasks(name, each, left_out) if each[1:] else each[0].sentence for name, each in several.items()]


def _over_tasks(name: str, found: Sequence[Move], left_out: int) -> str:
    alike = sum(each.answers_alike for each in found)
    counted = {word: sum(each.verdict == word for each in found if each.answers_alike) for word in SPOKEN}
    words = {"FASTER": "faster in", "SLOWER": "slower in", "SAME": "as fast in", "UNSURE": "speed not settled in"}
    told = ", ".join(f"{words[word]} {count}" for word, count in counted.items() if count)
    of = f"the first {len(found)} cases" if left_out else f"{len(found)} cases"
    return f"{name}: same answers in {alike} of {of}" + (f"; {told}" if told else "")
