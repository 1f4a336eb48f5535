"""`python -m tests.experiments.recipes [TASK ...]`: train every task's small model anew, and hold it to its target.

Each task is trained in a process of its own, as a run trains it, into a cache that is thrown away; data packages are
taken from the user's. Exit code 1 where a target is missed, or training takes longer than `MOST_S`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from weighbridge.bench.core import Trained
from weighbridge.bench.run import cards
from weighbridge.bench.storage import packages

MOST_S = 180.0
"""On two cores with nothing beside it."""


HEAD = "| task | metric | reached | target | baseline | seconds |\n| --- | --- | --- | --- | --- | --- |"


def main(names: list[str]) -> int:
    trained = [name for name, card in cards.tasks().items() if isinstance(card.models["small"].weights, Trained)]
    print(HEAD)
    missed = [name for name in names or trained if not _holds(name)]
    return int(bool(missed))


def _holds(name: str) -> bool:
    card, target = cards.task(name), cards.task(name).target
    reached, seconds = _reached(name, target.metric)
    sign = 1 if target.higher_is_better else -1
    good = sign * reached >= sign * target.value and seconds <= MOST_S
    figures = f"{reached:.4f} | {target.value:g} | {card.baseline.value:g} | {seconds:.0f}"
    print(f"| {name} | {target.metric} | {figures} |{'' if good else ' MISSED'}", flush=True)
    return good


def _reached(name: str, metric: str) -> tuple[float, float]:
    """The score on the reference, and the seconds until its parity was shown: training, and little else."""
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "cache"
        cache.mkdir()
        (cache / "packages").symlink_to(packages.cache_folder() / "packages")
        begin = time.monotonic()
        _records(name, "parity", cache, Path(scratch) / "trained")
        seconds = time.monotonic() - begin
        for scenario in cards.task(name).scenarios:
            (record,) = _records(name, scenario, cache, Path(scratch) / scenario)
            if metric in record["score"]:
                return float(record["score"][metric]), seconds
    raise SystemExit(f"{name}: no scenario gives {metric}")


def _records(name: str, scenario: str, cache: Path, folder: Path) -> list[dict[str, Any]]:
    words = ["--tasks", name, "--backends", "torch", "--scenarios", scenario, "--out", str(folder)]
    command = [sys.executable, "-m", "weighbridge", "run", *words, "--json", "--no-progress", "--time-limit", "1800"]
    environment = {**os.environ, "WEIGHBRIDGE_DATA": str(cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
