"""What the suite itself costs, held to what docs/overhead.md publishes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from weighbridge.bench.cli.benchmarks import Quiet
from weighbridge.bench.core import arrays_hash
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure import allocator, statistics
from weighbridge.bench.run import folders, jobs, runner
from weighbridge.bench.run.plan import Filters
from weighbridge.bench.storage import packages

STEP_S = 0.001
ROOT = Path(__file__).parents[2]


def weighed(tmp_path: Path, suite: str, **filters: list[str]) -> Record:
    planned = jobs.prepare(suite, Filters(**filters))  # type: ignore[arg-type]
    records = runner.run(planned, tmp_path / "records.jsonl", Quiet(), folders.Options())
    return records[0]


@pytest.mark.alone
def test_a_step_of_one_millisecond_costs_at_most_one_percent_more(tmp_path: Path) -> None:
    record = weighed(tmp_path, "fake", backends=["null"], tasks=["tabular-regression"])
    assert record.status == "ok", record.reason
    overhead = statistics.median(record.step_s) / STEP_S - 1
    print(f"latency: {overhead:.3%} over 1 ms; queued: {statistics.median(record.queued_step_s) / STEP_S - 1:.3%}")
    assert 0 <= overhead <= 0.01


@pytest.mark.alone
def test_a_plain_loop_over_the_same_forward_pass_agrees(tmp_path: Path) -> None:
    """A machine's other load moves medians by tens of percent; a parent that spins moved a peer's by 140 %."""
    ours = weighed(tmp_path, "quick", tasks=["semantic-search"], backends=["torch"])
    assert ours.status == "ok", ours.reason
    suite_s, plain = statistics.median(ours.step_s), plain_loop(ours)
    medians, fastest = suite_s / plain["median_s"], min(ours.step_s) / plain["fastest_s"]
    print(f"suite {suite_s:.4f} s, plain loop {plain['median_s']:.4f} s, ratio {medians:.3f}, fastest {fastest:.3f}")
    assert 1 / 1.4 <= fastest <= 1.4  # the fastest steps are those that other load left alone


def plain_loop(record: Record) -> dict[str, float]:
    """What the bare script prints, on the very files that the record was taken with."""
    root = packages.cache_folder() / "artefacts"
    weights = next((root / "weights").glob("semantic-search-small-*.safetensors"))
    batches = (root / "oracle").glob("semantic-search-small-*/batch.safetensors")
    batch = next(path for path in batches if arrays_hash(load_file(path)) == record.facts["batch_hash"])
    threads = {name: str(value) for name, value in record.environment["threads"].items()}
    variables = {**os.environ, **allocator.variables("keep"), **threads}
    command = [sys.executable, str(ROOT / "tests" / "plain_loop.py"), str(weights), str(batch), "5"]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return dict(json.loads(ended.stdout))


@pytest.mark.parametrize("name", ["docs/overhead.md"])
def test_the_published_page_names_its_command(name: str) -> None:
    assert "tests/run/test_overhead.py" in (ROOT / name).read_text(encoding="utf-8")
