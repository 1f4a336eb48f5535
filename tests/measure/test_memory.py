import mmap
import os
import subprocess
import sys
from pathlib import Path

from weighbridge.bench.measure import allocator, memory

ALLOCATE = """
import numpy as np
from weighbridge.bench.measure import memory
assert memory.reset_host_peak()
before = memory.host_peak_bytes()
block = np.ones(64 * 2**20, np.uint8)
during = memory.host_peak_bytes()
del block
memory.reset_host_peak()
print(before, during, memory.host_peak_bytes())
"""


def test_the_peak_follows_an_allocation_and_its_reset() -> None:
    """In a process of its own: that of the other tests may give back more at this moment than is allocated here."""
    ended = subprocess.run([sys.executable, "-c", ALLOCATE], capture_output=True, text=True, check=True)
    before, during, after = map(int, ended.stdout.split())
    assert during - before > 60 * 2**20
    assert during - after > 60 * 2**20


def test_a_fault_costs_something_and_less_than_a_millisecond() -> None:
    assert 1e-8 < memory.fault_cost_s() < 1e-3


def test_faults_are_counted_as_pages_are_touched() -> None:
    with mmap.mmap(-1, 2**22) as fresh:
        before = memory.minor_faults()
        fresh.write(b"\1" * 2**20)
        assert 250 <= memory.minor_faults() - before < 2000


KEPT = """
import numpy as np
from weighbridge.bench.measure import memory
blocks = [np.ones(2**20, np.uint8) for _ in range(64)]
del blocks
kept = memory.resident_bytes()
memory.reset_host_peak()
print(kept, memory.host_peak_bytes())
"""


def test_a_heap_that_keeps_its_pages_gives_them_back_before_the_peak_starts_anew() -> None:
    variables = {**os.environ, **allocator.variables("keep")}
    ended = subprocess.run([sys.executable, "-c", KEPT], env=variables, capture_output=True, text=True, check=True)
    kept, after = map(int, ended.stdout.split())
    assert kept - after > 50 * 2**20


def test_what_cannot_be_known_is_none_and_not_zero(tmp_path: Path) -> None:
    assert memory.host_peak_bytes(tmp_path / "absent") is None
    assert memory.resident_bytes(tmp_path / "absent") is None
    assert not memory.reset_host_peak(tmp_path / "absent" / "clear_refs")


def test_no_device_is_none() -> None:
    from weighbridge.bench.measure import environment

    if not environment.gpu_names():
        assert memory.device_process_bytes() is None
