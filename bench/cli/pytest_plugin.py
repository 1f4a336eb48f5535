"""`pytest --benchmark-only`: one benchmark a cell of a suite, and the fixture `weigh` for tests of one's own.

Every pytest of an environment imports this file, so it imports nothing: what weighs is in `bench.cli.benchmarks`.
In a folder whose tests hold no benchmark, `--benchmark-only` weighs suite quick; beside benchmarks, which are
somebody else's, only a suite that is named.
"""

from __future__ import annotations

from argparse import ArgumentError
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from weighbridge.bench.core.cell import Cell
    from weighbridge.bench.core.record import Record

CELL, MARKER = "weighbridge_cell", "weighbridge"
KIT, KIT_FOLDER = f"{__name__.rpartition('.')[0]}.conformance", Path(__file__).resolve().with_name("conformance")
SUITE = Path(__file__).with_name("suite_under_pytest.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The suite and the filters of `weighbridge run`."""
    group = parser.getgroup("weighbridge")
    group.addoption("--weighbridge-suite", default="", help="suite whose cells are benchmarked (quick)")
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


@pytest.hookimpl(trylast=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> None:
    """The options of the conformance kit, where that is what is run: `--backend` is a name that others use, too."""
    if not any(_is_kit(word) for word in args):
        return
    group = parser.getgroup("weighbridge")
    for what in ("backend", "task"):
        told = f"{what} that the conformance kit tries"
        try:
            group.addoption(f"--{what}", dest=f"weighbridge_{what}", default="", help=told)
        except (ValueError, ArgumentError):  # somebody's conftest has one of that name
            group.addoption(f"--weighbridge-{what}", dest=f"weighbridge_{what}", default="", help=told)


def _is_kit(word: str) -> bool:
    path = word.partition("::")[0]
    return path.startswith(KIT) or Path(path).resolve().is_relative_to(KIT_FOLDER)


def pytest_configure(config: pytest.Config) -> None:
    """Says what our marker means, and has the suite collected after whatever the folder holds."""
    config.addinivalue_line(
        "markers",
        "weighbridge(at_least=0): a cell of a suite; runs under --benchmark-only alone, and fails where the whole "
        "interval of its ratio to the reference lies under `at_least`",
    )
    if config.getoption("weighbridge_task", None) is not None:
        from weighbridge.bench.cli.conformance import asked

        asked.check(config)
    if _only(config) and not config.getoption("file_or_dir"):
        config.args.append(str(SUITE))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Turns a test that asks for `weighbridge_cell` into one benchmark a cell."""
    if CELL in metafunc.fixturenames:
        weighed = _parameters(metafunc) if _is_asked(metafunc) else []
        metafunc.parametrize(CELL, weighed or [pytest.param(None, marks=pytest.mark.weighbridge)])


def _parameters(metafunc: pytest.Metafunc) -> list[Any]:
    from weighbridge.bench.cli import benchmarks

    return benchmarks.parameters(metafunc.config)


def _is_asked(metafunc: pytest.Metafunc) -> bool:
    """Whether these cells are to be weighed; those of `SUITE`, of which nobody may have thought, in an empty house."""
    if not _only(metafunc.config):
        return False
    theirs = metafunc.config.getoption("--weighbridge-suite") or metafunc.definition.path != SUITE
    return bool(theirs) or not any("benchmark" in _fixtures(item) for item in metafunc.definition.session.items)


def _fixtures(item: pytest.Item) -> list[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else []


def _only(config: pytest.Config) -> bool:
    return bool(config.getoption("--benchmark-only", default=False))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A plain `pytest` weighs nothing; where nothing but a suite is benchmarked, tests are not listed as skipped."""
    weighing = [item for item in items if item.get_closest_marker(MARKER) and _cell(item) is not None]
    lone = _only(config) and not config.getoption("file_or_dir")
    left = [item for item in items if item.get_closest_marker(MARKER) and item not in weighing]
    if lone and weighing:
        left += [item for item in items if "benchmark" not in _fixtures(item)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def _cell(item: pytest.Item) -> Any:
    called = vars(item).get("callspec")  # of tests with parameters alone
    return called.params.get(CELL) if called else None


def _at_least(request: pytest.FixtureRequest) -> float:
    marked = [float(mark.kwargs["at_least"]) for mark in request.node.iter_markers(MARKER) if mark.kwargs]
    return max([*marked, float(str(request.config.getoption("--weighbridge-at-least")))])


@pytest.fixture
def weigh(
    request: pytest.FixtureRequest, weighbridge_cell: Cell, benchmark: Any, tmp_path: Path
) -> Callable[[], Record]:
    """Weighs the cell in its worker and hands its samples to pytest-benchmark; returns the record.

    A failed cell fails the test; a skipped one skips it, unless its backend was asked for by name.
    """

    def weighed() -> Record:
        from weighbridge.bench.cli import benchmarks

        selected: set[Cell] = {_cell(item) for item in request.session.items}
        wanted = benchmarks.Wanted(weighbridge_cell, selected, _at_least(request))
        return benchmarks.weigh(request, wanted, benchmark, tmp_path)

    return weighed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Ratio and verdict of each cell, in the words of the report."""
    if not _only(config):
        return
    from weighbridge.bench.cli import benchmarks

    if lines := benchmarks.summary(config):
        terminalreporter.section("weighbridge: ratio to the reference, above 1 is faster")
    for line in lines:
        terminalreporter.line(line)
