"""Every figure of a row, once: its name in report.csv and pandas, how it is read, and what a table says of it.

A figure that has a title is a column of every table. Where tables arrange or join figures otherwise, as the ratio with
its interval, `bench.report.columns` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.settings import words

Value = float | str | bool | None


class Figure(NamedTuple):
    """A name with its unit, and where a row holds the value: a path of attributes, or a function of the row."""

    name: str
    read: str | Callable[[Row], Value]
    is_text: bool = False
    title: str = ""
    """Of its column; empty where no table shows it by itself."""
    meaning: str = ""
    unit: str = ""
    """What a table writes after the number."""


def _texts(*names: str) -> list[Figure]:
    return [Figure(name.rpartition(".")[2], name, is_text=True) for name in names]


def _numbers(**paths: str) -> list[Figure]:
    return [Figure(name, path) for name, path in paths.items()]


def _cell(*names: str) -> list[Figure]:
    return [Figure(name, f"record.cell.{name}", is_text=name not in ("batch_size", "seed")) for name in names]


def tokens_per_joule(row: Row) -> float | None:
    """Return tokens per joule of a generation; None where joules were not counted."""
    record = row.record
    if record.cell.scenario != "generate" or not record.energy_j_per_step:
        return None
    return record.items_per_step / record.energy_j_per_step


FIGURES: list[Figure] = [
    *_texts("run", "machine"),
    *_cell("task", "preset", "backend", "scenario", "precision", "batch_size", "device", "seed"),
    *_texts("record.status", "record.reason"),
    *_numbers(step_s="step_s", ratio="ratio", ratio_low="bounds.low", ratio_high="bounds.high"),
    *_texts("verdict", "pairing"),
    *_numbers(
        noise_floor="floor_of_verdict", items_per_s="rate", first_token_s="first_token_s", token_s="token_s",
        compile_s="record.compile_s", warm_compile_s="record.warm_compile_s", break_even_calls="cold_calls.shown",
        warm_break_even_calls="warm_calls.shown", samples="steps",
    ),
    Figure("settled", "record.settled", is_text=True),
    Figure("stopped_by", "record.stopped_by", is_text=True),
    *_numbers(host_peak_bytes="record.host_peak_bytes", device_peak_bytes="record.device_peak_bytes"),
    *_texts("metric"),
    *_numbers(score="score", parity_ratio="shown_parity.ratio", parity_limit="shown_parity.limit"),
    Figure("parity_passed", "shown_parity.passed", is_text=True),
    *_texts("family", "record.tier", "record.started"),
    *_numbers(energy_j_per_step="record.energy_j_per_step"),
    *_texts("lean"),
    Figure("best_backend", "best", is_text=True),
    *_numbers(best_ratio="best_ratio", best_low="best_bounds.low", best_high="best_bounds.high"),
    *_texts("best_verdict", "best_lean"),
    *_numbers(
        items_per_s_low="rate_bounds.low", items_per_s_high="rate_bounds.high", throughput_ratio="rate_ratio",
        throughput_ratio_low="rate_ratio_bounds.low", throughput_ratio_high="rate_ratio_bounds.high",
    ),
    Figure("throughput_verdict", "rate_verdict", is_text=True),
    Figure("throughput_lean", "rate_lean", is_text=True),
    Figure("throughput_crowded", "crowded_of_rate", is_text=True),
    *_numbers(
        break_even_low="cold_calls.low", break_even_high="cold_calls.high", warm_break_even_low="warm_calls.low",
        warm_break_even_high="warm_calls.high", host_import_bytes="record.host_import_bytes",
        minor_faults_per_step="faults", fault_share="fault_share",
    ),
    *_texts("processor"),
    *_numbers(processes="processes"),
    Figure(
        "tokens_per_j", tokens_per_joule, title="tokens per joule", unit="tokens/J",
        meaning="tokens generated for a joule of the whole package or device, what idles included",
    ),
    Figure("settings", lambda row: ", ".join(words(row.record.cell.settings)), is_text=True),
    Figure("options", lambda row: ", ".join(words(row.record.cell.options)), is_text=True),
    *_numbers(largest_difference="shown_parity.difference", output_scale="shown_parity.scale"),
    *_numbers(fast_step_s="both_speeds.fast", slow_step_s="both_speeds.slow"),
]  # fmt: skip
"""In the order of report.csv, to which new ones are added at the end."""


def reader(figures: Sequence[Figure]) -> Callable[[Row], list[Value]]:
    """Reads all of them: those that are paths at once."""
    # two more, of which nothing is made: of a single path attrgetter gives the value itself
    paths = attrgetter("run", "run", *(figure.read for figure in figures if isinstance(figure.read, str)))
    functions = [(at, figure.read) for at, figure in enumerate(figures) if not isinstance(figure.read, str)]

    def read(row: Row) -> list[Value]:
        values = list(paths(row)[2:])
        for at, function in functions:
            values.insert(at, function(row))
        return values

    return read
