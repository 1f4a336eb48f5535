"""How others time a function: a bare loop, and pytest-benchmark as it comes. Each in a fresh process, one by one.

The code under test is a text that defines `step()`, which returns when its work is done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from weighbridge.bench.measure import statistics
from weighbridge.bench.measure.statistics import Interval
from weighbridge.bench.run.process import thread_variables

LOOP = """
for _ in range({warm}):
    step()
import json, time
samples = []
until = time.perf_counter() + {seconds}
while time.perf_counter() < until:
    begin = time.perf_counter(); step(); samples.append(time.perf_counter() - begin)
print(json.dumps(samples))
"""
BENCHMARK = """
def test_step(benchmark):
    benchmark(step)
"""
Way = Callable[[str, Mapping[str, str]], list[float]]
"""Code and environment -> seconds of each step that was kept."""


def plain_loop(code: str, variables: Mapping[str, str], warm: int = 1, seconds: float = 1.0) -> list[float]:
    """Steps of a bare script."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "loop.py"
        script.write_text(code + LOOP.format(warm=warm, seconds=seconds))
        return json.loads(_run([sys.executable, str(script)], variables).splitlines()[-1])


def pytest_benchmark(code: str, variables: Mapping[str, str]) -> list[float]:
    """pytest-benchmark as it comes: five rounds or one second, whichever is more."""
    with tempfile.TemporaryDirectory() as folder:
        script, result = Path(folder) / "test_step.py", Path(folder) / "result.json"
        script.write_text(code + BENCHMARK)
        _run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:weighbridge", "--rootdir", folder,
              "--benchmark-save-data", f"--benchmark-json={result}", str(script)], variables)  # fmt: skip
        return json.loads(result.read_text())["benchmarks"][0]["stats"]["data"]


def _run(command: Sequence[str], variables: Mapping[str, str]) -> str:
    environment = {**os.environ, **thread_variables(), **variables}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def ratio(over: Sequence[float], under: Sequence[float]) -> Interval:
    """Of two sequential runs, with the interval that their own steps give, each counted as independent."""
    return statistics.unpaired_ratio(statistics.interval([over]), statistics.interval([under]))
