"""`pytest --benchmark-only`: one benchmark a cell, run in its worker, shown by pytest-benchmark.

pytest-benchmark would time a function in this process. A cell is timed in its worker, synchronised and warmed
as everywhere else, and its samples are replayed here through pytest-benchmark's own timer parameter: its table,
its JSON and `pytest-benchmark compare` then hold the worker's measurements and nothing is measured twice. Cells of a
group take turns: the first test of a group weighs all of it, the others find their records.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard

import msgspec
import pytest

from bench.analysis import ratios
from bench.analysis.row import Row
from bench.core.cell import Cell
from bench.core.effort import effort
from bench.core.errors import WeighbridgeError
from bench.core.record import Record
from bench.measure import statistics
from bench.measure.statistics import Interval
from bench.report import texts
from bench.run import folders, jobs, runner
from bench.run.plan import Filters

CELL = "weighbridge_cell"
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

    def phase(self, name: str) -> None:
        """Nothing."""

    def progress(self, fraction: float) -> None:
        """Nothing."""

    def finished(self, record: Record) -> None:
        """Nothing."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The suite and the filters of `weighbridge run`."""
    group = parser.getgroup("weighbridge")
    group.addoption("--weighbridge-suite", default="quick", help="suite whose cells are benchmarked (quick)")
    group.addoption("--weighbridge-tasks", default="", help="only these tasks, separated by commas")
    group.addoption("--weighbridge-backends", default="", help="only these backends, separated by commas")
    group.addoption("--weighbridge-batch-sizes", default="", help="only these batch sizes, separated by commas")
    group.addoption(
        "--weighbridge-effort", "--weighbridge-tier", default="quick", help="quick, standard or strict (quick)"
    )
    group.addoption(
        "--weighbridge-at-least",
        type=float,
        default=0.0,
        metavar="RATIO",
        help="fail a cell whose ratio to the reference is under this, its whole interval and beyond the noise floor, "
        "of three processes or more: 0.95 allows 5 %% more time",
    )
    group.addoption("--weighbridge-time-limit", type=float, default=600.0, help="seconds a cell may take (600)")


def pytest_configure(config: pytest.Config) -> None:
    """Says what our marker means."""
    config.addinivalue_line(
        "markers",
        "weighbridge(at_least=0): a cell of a suite; runs under --benchmark-only alone, and fails where the whole "
        "interval of its ratio to the reference lies under `at_least`",
    )
    config.stash[WEIGHED] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Turns a test that asks for `weighbridge_cell` into one benchmark a cell."""
    if CELL in metafunc.fixturenames:
        cells = _planned(metafunc.config).cells if _only(metafunc.config) else []
        metafunc.parametrize(CELL, [_parameter(cell) for cell in cells] or [pytest.param(None, marks=_marks())])


def _planned(config: pytest.Config) -> jobs.Planned:
    def words(option: str) -> list[str]:
        return [word for word in _option(config, option).split(",") if word]

    filters = Filters(
        tasks=words("--weighbridge-tasks"),
        backends=words("--weighbridge-backends"),
        batch_sizes=[int(word) for word in words("--weighbridge-batch-sizes") if word.isdecimal()],
    )
    try:
        return jobs.prepare(_option(config, "--weighbridge-suite"), filters)
    except WeighbridgeError as error:
        raise pytest.UsageError(str(error)) from error


def _option(config: pytest.Config, name: str) -> str:
    return str(config.getoption(name))


def _only(config: pytest.Config) -> bool:
    return bool(config.getoption("--benchmark-only", default=False))


def _marks(**options: Any) -> tuple[pytest.MarkDecorator, ...]:
    return pytest.mark.weighbridge, pytest.mark.benchmark(**options)


def _parameter(cell: Cell) -> Any:
    group = str(msgspec.structs.replace(cell, backend="*"))
    return pytest.param(cell, marks=_marks(group=group, timer=Replay()), id=str(cell).replace(" ", "-"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A plain `pytest` weighs nothing."""
    if not _only(config):
        weighing = [item for item in items if item.get_closest_marker("weighbridge")]
        config.hook.pytest_deselected(items=weighing)
        items[:] = [item for item in items if item not in weighing]


@pytest.fixture
def weigh(
    request: pytest.FixtureRequest, weighbridge_cell: Cell, benchmark: Any, tmp_path: Path
) -> Callable[[], Record]:
    """Weighs the cell in its worker and hands its samples to pytest-benchmark; returns the record.

    A failed cell fails the test; a skipped one skips it, unless its backend was asked for by name.
    """

    def weighed() -> Record:
        row = _row(request, weighbridge_cell, tmp_path)
        _require(row.record, _option(request.config, "--weighbridge-backends").split(","))
        replay(benchmark, request.node, row)
        _require_speed(row, _at_least(request))
        return row.record

    return weighed


def _row(request: pytest.FixtureRequest, cell: Cell, folder: Path) -> Row:
    """The cell's row; weighs its whole group where that has not been done, as far as its tests were selected."""
    rows = request.config.stash[WEIGHED]
    if cell.id not in rows:
        config = request.config
        selected = {item.callspec.params[CELL] for item in request.session.items if _is_cell(item)}
        planned = _planned(config)
        cells = [each for each in planned.cells if each.group == cell.group and each in selected]
        planned = msgspec.structs.replace(planned, cells=cells)
        options = folders.Options(
            time_limit_s=float(_option(config, "--weighbridge-time-limit")),
            effort=effort(_option(config, "--weighbridge-effort")),
        )
        records = runner.run(planned, folder / "records.jsonl", Quiet(), options)
        rows.update({row.record.cell.id: row for row in ratios.rows(records, planned.reference)})
    return rows[cell.id]


def _is_cell(item: pytest.Item) -> TypeGuard[pytest.Function]:
    return isinstance(item, pytest.Function) and item.get_closest_marker("weighbridge") is not None


def _at_least(request: pytest.FixtureRequest) -> float:
    marked = [float(mark.kwargs["at_least"]) for mark in request.node.iter_markers("weighbridge") if mark.kwargs]
    return max([*marked, float(_option(request.config, "--weighbridge-at-least"))])


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
    benchmark.extra_info.update({"cell": str(record.cell), "score": record.score, "parity": parity, **memory, **speed})
    benchmark.pedantic(lambda: None, rounds=len(record.step_s), iterations=1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Ratio and verdict of each cell, in the words of the report."""
    rows = list(config.stash[WEIGHED].values())
    if rows:
        terminalreporter.section("weighbridge: ratio to the reference, above 1 is faster")
    for row in rows:
        terminalreporter.line(
            f"{row.record.cell}  {texts.ratio(row)}  {row.verdict or row.no_ratio or 'the reference'}"
        )
