"""`pytest --benchmark-only`: one benchmark a cell, run in its worker, shown by pytest-benchmark.

pytest-benchmark would time a function in this process. A cell is timed in its worker, synchronised and warmed
as everywhere else, and its samples are replayed here through pytest-benchmark's own timer parameter: its table,
its JSON and `pytest-benchmark compare` then hold the worker's measurements and nothing is measured twice.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import application
from bench.core import Cell, WeighbridgeError
from bench.plan import Filters
from bench.record import Record

CELL = "weighbridge_cell"


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
    group.addoption("--weighbridge-time-limit", type=float, default=600.0, help="seconds a cell may take (600)")


def pytest_configure(config: pytest.Config) -> None:
    """Says what our marker means."""
    config.addinivalue_line("markers", "weighbridge: a cell of a suite; runs under --benchmark-only alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Turns a test that asks for `weighbridge_cell` into one benchmark a cell."""
    if CELL in metafunc.fixturenames:
        cells = _planned(metafunc.config).cells if _only(metafunc.config) else []
        metafunc.parametrize(CELL, [_parameter(cell) for cell in cells] or [pytest.param(None, marks=_marks())])


def _planned(config: pytest.Config) -> application.Planned:
    def words(option: str) -> list[str]:
        return [word for word in _option(config, option).split(",") if word]

    filters = Filters(tasks=words("--weighbridge-tasks"), backends=words("--weighbridge-backends"))
    try:
        return application.prepare(_option(config, "--weighbridge-suite"), filters)
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
        planned = msgspec.structs.replace(_planned(request.config), cells=[weighbridge_cell])
        limit = float(_option(request.config, "--weighbridge-time-limit"))
        (record,) = application.run(planned, planned.cells, tmp_path / "records.jsonl", limit, Quiet())
        _require(record, _option(request.config, "--weighbridge-backends").split(","))
        replay(benchmark, request.node, record)
        return record

    return weighed


def _require(record: Record, asked: list[str]) -> None:
    if record.status == "skipped" and record.cell.backend not in asked:
        pytest.skip(record.reason)
    if record.status != "ok":
        pytest.fail(f"{record.status}: {record.reason}", pytrace=False)


def replay(benchmark: Any, node: pytest.Item, record: Record) -> None:
    """Feeds a record's samples through the benchmark's timer, and what else it holds into `extra_info`."""
    marker = node.get_closest_marker("benchmark")
    assert marker is not None
    marker.kwargs["timer"].samples = record.step_s
    parity = msgspec.to_builtins(record.parity)
    memory = {name: getattr(record, name) for name in ("host_peak_bytes", "device_peak_bytes", "compile_s")}
    benchmark.extra_info.update({"cell": str(record.cell), "score": record.score, "parity": parity, **memory})
    benchmark.pedantic(lambda: None, rounds=len(record.step_s), iterations=1)
