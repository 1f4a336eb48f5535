"""The cells of a suite under pytest-benchmark: `pytest --benchmark-only`. A plain `pytest` leaves them out."""

from collections.abc import Callable

from bench.core.record import Record


def test_cell(weigh: Callable[[], Record]) -> None:
    assert weigh().status == "ok"
