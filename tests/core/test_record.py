"""What is taken from several processes of a record."""

from __future__ import annotations

from tests.conftest import make_record
from weighbridge.bench.core.process import Process


def test_imports_and_peak_are_of_the_same_processes() -> None:
    """A first process may import more than later ones: what is above the imports must not come out below nothing."""
    first = Process(import_bytes=800, host_peak_bytes=900)
    later = [Process(import_bytes=60, host_peak_bytes=100), Process(import_bytes=70, host_peak_bytes=90)]
    record = make_record(processes=[first, *later])
    assert (record.host_import_bytes, record.host_peak_bytes) == (70, 100)
    alone = make_record(processes=[first])
    assert (alone.host_import_bytes, alone.host_peak_bytes) == (800, 900)
