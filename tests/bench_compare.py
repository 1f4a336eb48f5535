"""How `weighbridge compare` and `report` grow: `python tests/bench_compare.py [--report] [N ...]`: seconds, memory.

Makes two journals of N cells as `run --tier quick` writes them: six blocks of five steps, facts and environments as
they are. Half of the cells are 20 % slower in the second run, and one in twenty is noisy. `--processes 3` makes
them of tier `standard`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np

from tests.conftest import ABOUT
from weighbridge.bench.core import Cell
from weighbridge.bench.core.process import Process
from weighbridge.bench.core.record import Noise, Parity, Provenance, Record
from weighbridge.bench.measure import environment
from weighbridge.bench.storage.coding import encoder

BLOCKS, STEPS = 6, 5
CAMPS = {"torch": "torch", "torch-compile": "torch"}
BACKENDS = ("torch", "flax", "torch-compile", "fourth", "fifth")
FACTS = {
    "batch_hash": "46f5bb4e1ec01b52", "weights_hash": "bcf8c542066375d3", "threads": 2, "affinity": [0, 1],
    "precision": "float32", "matmul_precision": "highest", "layout": "NHWC", "compile_scope": "whole model",
    "donation": False, "platform": "cpu", "programs": 1, "scope": "model forward", "host_allocator": "kept",
    "fault_cost_s": 2.5e-7,
    "memory_analysis": [{"argument_bytes": 19832584, "output_bytes": 1280, "temp_bytes": 11580416}],
}  # fmt: skip


def journal(path: Path, cells: int, processes: int, slower: float, seed: int) -> None:
    """A run of this many cells; every second one takes `slower` times as long."""
    rng = np.random.default_rng(seed)
    described = environment.describe(["torch", "timm", "transformers"])
    with path.open("wb") as file:
        for index in range(cells):
            spread = 0.3 if index % 20 == 0 else 0.01
            level = 0.02 * (slower if index % 2 else 1.0)
            steps = level * np.exp(rng.normal(0, spread, processes * BLOCKS * STEPS))
            file.write(encoder.encode(record(index, steps.tolist(), processes, described)) + b"\n")


def record(index: int, steps: list[float], processes: int, described: dict[str, object]) -> Record:
    """One cell's."""
    about: Provenance = msgspec.structs.replace(ABOUT, contenders=[*BACKENDS, "sixth"])
    backend = BACKENDS[index % 5]
    return Record(
        cell=Cell(
            task=f"task-{index // 50}", preset="small", backend=backend, scenario="infer",
            precision="fp32", batch_size=1 + index % 50 // 5, device="cpu",
        ),
        status="ok", pairing="interleaved", stopped_by="converged", settled=True, items_per_step=32, score={"r2": 0.5},
        processes=[process(steps[first::processes], first) for first in range(processes)],
        parity=Parity(ratio=0.82, limit=2.0, passed=True, decisions_equal=1.0, output="logits"),
        facts={**FACTS, "camp": CAMPS.get(backend, backend)},
        noise=Noise(floor=0.02, between_runs=0.03), about=about, environment=described,
        started="2026-11-23T00:07:29+00:00", wall_s=6.5,
    )  # fmt: skip


def process(steps: list[float], index: int) -> Process:
    """One of its processes."""
    return Process(
        first_s=0.5 if index else 1.25, compiled=True, import_bytes=392489984, first_peak_bytes=791658496,
        warmup_s=steps[:3], step_s=steps, blocks=[STEPS] * BLOCKS, crowded=[False] * BLOCKS,
        minor_faults=[120.0] * BLOCKS, queued_step_s=steps[:BLOCKS], host_peak_bytes=792489984,
    )  # fmt: skip


TELLING = """
import resource, sys
from weighbridge.bench.cli import entry
from weighbridge.bench.measure import memory
reader = lambda: resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
leave = entry.leave
entry.leave = lambda code: (print(memory.host_peak_bytes() + reader(), file=sys.stderr), leave(code))
entry.script()
"""


def measured(command: str, *journals: Path) -> tuple[float, float, int]:
    """Seconds, peak MiB and exit code of one command, in a process of its own.

    The peak is its VmHWM and that of the process that reads one of two large journals for it, added up.
    """
    start = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", TELLING, command, *map(str, journals)], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    return seconds, int(ended.stderr.split()[-1]) / 2**20, ended.returncode


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", nargs="*", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="`report` of one journal, not `compare` of two")
    given = parser.parse_args()
    print("| records a side | journals | seconds | peak memory | exit code |\n| ---: | ---: | ---: | ---: | ---: |")
    for cells in given.cells:
        with tempfile.TemporaryDirectory() as folder:
            journals = [Path(folder, "before.jsonl"), Path(folder, "after.jsonl")][: 1 if given.report else 2]
            for seed, path in enumerate(journals):
                journal(path, cells, given.processes, 1.0 + 0.2 * seed, seed=seed + 1)
            size = sum(path.stat().st_size for path in journals) / 2**20
            seconds, peak_mib, code = measured("report" if given.report else "compare", *journals)
            print(f"| {cells:,} | {size:,.0f} MiB | {seconds:.2f} | {peak_mib:,.0f} MiB | {code} |", flush=True)


if __name__ == "__main__":
    main()
