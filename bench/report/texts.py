"""What a cell of the table says of a row, in words and figures."""

from __future__ import annotations

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.settings import words
from weighbridge.bench.measure import statistics
from weighbridge.bench.report.units import bounds, number, scaled, size, times, word


def ratio(row: Row) -> str:
    """`1.42× [1.38, 1.47]`; a dash where it would not be honest."""
    return times(row.ratio, row.interval)


def verdict(row: Row) -> str:
    """One word, or where it leans."""
    return word(row.verdict, row.lean) or "–"


def best(row: Row) -> str:
    """The ratio to the best row of the reference's camp, which is named unless it is this one."""
    name = row.record.cell.executor
    if row.best_ratio is None:
        return "–"
    if name == row.best:
        return "1.00×"
    if row.best == row.reference:
        return f"= {row.best}"
    return f"{times(row.best_ratio, row.best_interval)} {word(row.best_verdict, row.best_lean)} ({row.best})"


def difference(row: Row) -> str:
    """`3.6e-07 of 1.2`."""
    found = row.record.parity
    if found is None or found.difference is None or found.scale is None:
        return "–"
    return f"{found.difference:.2g} of {found.scale:.2g}"


def brief_status(row: Row) -> str:
    """`ok`, or in a word why there is no figure."""
    return row.record.status


def brief_verdict(row: Row) -> str:
    """Return it in a word or two: who leans is UNSURE."""
    return f"leans {row.lean}" if row.lean else verdict(row)


def brief_score(row: Row) -> str:
    """`0.9730`, and whether that is under the task's target."""
    if score(row) == "–" or row.score is None:
        return "–"
    return f"{row.score:.4f}" + (" under" if under_target(row) else "")


def brief_parity(row: Row) -> str:
    """`0.82 of 2`."""
    return parity(row).partition(",")[0]


def under_target(row: Row) -> bool:
    """Whether its score does not reach what the task wants, whoever computes it."""
    about = row.record.about
    if about is None or row.score is None:
        return False
    target = about.target
    return row.score < target.value if target.higher_is_better else row.score > target.value


def score(row: Row) -> str:
    """The task's figure, with its target and baseline."""
    about = row.record.about
    if about is None or row.record.status != "ok" or about.target.metric not in row.record.score:
        return "–"
    if about.weights == "seeded":
        return "n/a (random weights)"
    goal = "under its target" if under_target(row) else "target"
    goal += f" {about.target.value:g}, baseline {about.baseline.value:g}"
    value = "n/a" if row.score is None else f"{row.score:.4f}"
    return f"{about.target.metric} {value} ({goal})"


def parity(row: Row) -> str:
    """Error in units of the reference's, against the limit."""
    found = row.record.parity
    if found is None:
        return "–"
    value = "not finite" if found.ratio is None else f"{found.ratio:.2f}"
    same = "" if found.decisions_equal is None else f", {found.decisions_equal:.0%} same"
    return f"{value} of {found.limit:g}{same}"


def status(row: Row) -> str:
    """Return what became of it; `not settled` only where that is why there is no verdict."""
    cut_short = row.record.settled is False and row.verdict == "UNSURE" and row.processes >= statistics.FEWEST_PROCESSES
    return row.record.status + (", not settled" if cut_short else "")


def rate(row: Row) -> str:
    """Items a second, and the interval of them."""
    if row.rate is None:
        return "–"
    found = row.rate_interval
    around = f" {bounds(found, number)}" if found else ""
    return number(row.rate, f"{items(row)}/s") + around + (" beside a busy neighbour" if row.rate_crowded else "")


def items(row: Row) -> str:
    """Return what its throughput counts, in the plural."""
    if row.item.endswith("s"):  # series
        return row.item
    return f"{row.item[:-1]}ies" if row.item.endswith("y") else f"{row.item}s"


def rate_ratio(row: Row) -> str:
    """Return the ratio of rates, with its word."""
    found = times(row.rate_ratio, row.rate_ratio_interval)
    return f"{found} {word(row.rate_verdict, row.rate_lean)}".rstrip()


def host_peak(row: Row) -> str:
    """The whole, and what of it came after the imports."""
    peak, imported = row.record.host_peak_bytes, row.record.host_import_bytes
    if peak is None or imported is None:
        return size(peak)
    return f"{size(peak)} ({number(max(0, peak - imported) / 2**20)} above import)"


def faults(row: Row) -> str:
    """`12,400 a step (3.4 %)`."""
    if row.faults is None:
        return "–"
    return f"{number(row.faults)} a step" + (f" ({share(row.fault_share)})" if row.fault_share is not None else "")


def flops(row: Row) -> str:
    """`71.2 GFLOP/s`."""
    return "–" if row.roofline is None else scaled(row.roofline.flops_per_s, "FLOP/s")


def roof(row: Row) -> str:
    """`62 % (compute)`."""
    found = row.roofline
    return "–" if found is None else f"{share(found.share)} ({found.bound})"


def share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def task(row: Row) -> str:
    """The problem, and its preset where that is not `small`."""
    cell = row.record.cell
    return cell.task if cell.preset == "small" else f"{cell.task} [{cell.preset}]"


def driven(row: Row) -> str:
    """Scenario, precision, batch size, length of its rows, device and settings."""
    cell, length = row.record.cell, row.record.facts.get("length")
    long = [f"length {length}"] if isinstance(length, int) and "length" not in dict(cell.settings) else []
    return " ".join([cell.scenario, cell.precision, f"b{cell.batch_size}", *long, cell.device, *words(cell.settings)])
