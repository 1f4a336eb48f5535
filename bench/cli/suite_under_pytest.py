"""The cells of a suite as tests: what `pytest --benchmark-only` collects in a folder without benchmarks of its own."""

from collections.abc import Callable

from weighbridge.bench.core.record import Record


def test_cell(weigh: Callable[[], Record]) -> None:
    """Weigh one cell; it fails where the cell did."""
    assert weigh().status == "ok"
