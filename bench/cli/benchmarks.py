"""One benchmark of pytest-benchmark a cell: weighed in its worker, its samples replayed.

pytest-benchmark would time a function in this process. A cell is timed in its worker, synchronised and warmed
as everywhere else, and its samples are replayed here through pytest-benchmark's own timer parameter: its table,
its JSON and `pytest-benchmark compare` then hold the worker's measurements and nothing is measured twice. Cells of a
group take turns: the first test of a group weighs all of it, the others find their records.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from weighbridge.bench.analysis import ratios
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.effort import effort
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure import statistics
from weighbridge.bench.measure.statistics import Interval
from weighbridge.bench.report import texts
from weighbridge.bench.run import folders, jobs, runner
from weighbridge.bench.run.plan import Filters

DEFAULT_SUITE = "quick"
WEIGHED = pytest.StashKey[dict[str, Row]]()
"""Cell id -> its row, once its group has been weighed."""


class Replay:
    """A timer whose every pair of readings lies one sample apart, exactly: 0, then the sample."""

    def __init__(self) -> None:
        self.__name__ = "worker"
        self.samples: list[float] = []
        self.readings = 0

    def __call__(self) -> float:
        """The next reading."""
        index, is_end = divmod(self.readings, 2)
        self.readings += 1
        return self.samples[index] if is_end else 0.0


class Quiet:
    """A watcher that says nothing: pytest reports."""

    def started(self, cell: Cell) -> None:
        """Nothing."""

    def prepared(self, cell: Cell, took_s: float) -> None:
        """Nothing."""

    def phase(self, name: str) -> None:
        """Nothing."""

    def progress(self, fraction: float) -> None:
        """Nothing."""

    def finished(self, record: Record) -> None:
        """Nothing."""


def parameters(config: pytest.Config) -> list[Any]:
    """Return a parameter a cell of what was asked for."""
    return [_parameter(cell) for cell in _planned(config).cells]


def _planned(config: pytest.Config) -> jobs.Planned:
    def words(option: str) -> list[str]:
        return [word for word in _option(config, option).split(",") if word]

    filters = Filters(
        tasks=words("--weighbridge-tasks"),
        backends=words("--weighbridge-backends"),
        batch_sizes=[int(word) for word in words("--weighbridge-batch-sizes") if word.isdecimal()],
    )
    try:
        return jobs.prepare(_option(config, "--weighbridge-suite") or DEFAULT_SUITE, filters)
    except WeighbridgeError as error:
        raise pytest.UsageError(str(error)) from error


def _option(config: pytest.Config, name: str) -> str:
    return str(config.getoption(name))


def _parameter(cell: Cell) -> Any:
    group = str(msgspec.structs.replace(cell, backend="*"))
    marks = pytest.mark.weighbridge, pytest.mark.benchmark(group=group, timer=Replay())
    return pytest.param(cell, marks=marks, id=str(cell).replace(" ", "-"))


class Wanted(NamedTuple):
    """A cell, the cells of all tests, those of its group being weighed beside it, and the least ratio that passes."""

    cell: Cell
    selected: Collection[Cell]
    at_least: float


def weigh(request: pytest.FixtureRequest, wanted: Wanted, benchmark: Any, folder: Path) -> Record:
    """The record of a cell, whose samples pytest-benchmark then holds. Fails or skips the test as its cell did."""
    row = _row(request.config, wanted, folder)
    _require(row.record, _option(request.config, "--weighbridge-backends").split(","))
    replay(benchmark, request.node, row)
    _require_speed(row, wanted.at_least)
    return row.record


def _row(config: pytest.Config, wanted: Wanted, folder: Path) -> Row:
    """The cell's row; weighs its whole group where that has not been done, as far as its tests were selected."""
    rows, cell = config.stash.setdefault(WEIGHED, {}), wanted.cell
    if cell.id not in rows:
        planned = _planned(config)
        cells = [each for each in planned.cells if each.group == cell.group and each in wanted.selected]
        planned = msgspec.structs.replace(planned, cells=cells)
        options = folders.Options(
            time_limit_s=float(_option(config, "--weighbridge-time-limit")),
            effort=effort(_option(config, "--weighbridge-effort")),
        )
        records = runner.run(planned, folder / "records.jsonl", Quiet(), options)
        rows.update({row.record.cell.id: row for row in ratios.rows(records, planned.ratios_to)})
    return rows[cell.id]


def _require_speed(row: Row, at_least: float) -> None:
    """Fail by threshold and significance: a ratio that may be noise, or of too few processes, fails nothing."""
    if row.interval is not None and too_slow(row.interval, row.floor, _sure(row), at_least):
        pytest.fail(f"{texts.ratio(row)} the speed of the reference, at least {at_least:g}× wanted", pytrace=False)


def too_slow(ratio: Interval, floor: float, sure: bool, at_least: float) -> bool:
    """Whether a ratio is under `at_least` with its whole interval, and by more than equal programs come out unequal."""
    return sure and ratio.high * (1 + floor) < at_least


def _sure(row: Row) -> bool:
    record = row.record
    blocks = [statistics.block_medians(process.step_s, process.blocks) for process in record.timed]
    return statistics.enough(statistics.known(statistics.without(blocks, record.crowded)))


def _require(record: Record, asked: list[str]) -> None:
    if record.status == "skipped" and record.cell.backend not in asked:
        pytest.skip(record.reason)
    if record.status != "ok":
        pytest.fail(f"{record.status}: {record.reason}", pytrace=False)


def replay(benchmark: Any, node: pytest.Item, row: Row) -> None:
    """Feeds a record's samples through the benchmark's timer, and what else is known into `extra_info`."""
    record, marker = row.record, node.get_closest_marker("benchmark")
    assert marker is not None
    marker.kwargs["timer"].samples = record.step_s
    parity, interval = msgspec.to_builtins(record.parity), msgspec.to_builtins(row.interval)
    memory = {name: getattr(record, name) for name in ("host_peak_bytes", "device_peak_bytes", "compile_s")}
    speed = {"ratio": row.ratio, "interval": interval, "verdict": row.verdict, "no_ratio": row.no_ratio}
    crowded = [block for process in record.crowded for block in process]
    beside = {"blocks": len(crowded), "crowded_blocks": sum(crowded)}
    told = {"score": record.score, "parity": parity, **memory, **speed, **beside}
    benchmark.extra_info.update({"cell": str(record.cell), **told})
    benchmark.pedantic(lambda: None, rounds=len(record.step_s), iterations=1)


def summary(config: pytest.Config) -> list[str]:
    """Ratio and verdict of each cell that was weighed, in the words of the report."""
    return [
        f"{row.record.cell}  {texts.ratio(row)}  {row.verdict or row.no_ratio or 'the reference'}"
        for row in config.stash.get(WEIGHED, {}).values()
    ]
