"""Files of settings, and what the cache remembers, in every state of damage."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tests.conftest import make_cell, make_thrice
from tests.hostile.attack import ATTACKS, Attack, Outcome
from tests.hostile.command import weighbridge
from tests.hostile.values import damaged, mutated
from weighbridge.bench.measure import environment
from weighbridge.bench.measure.noise import Calibration, Kind
from weighbridge.bench.run import registry
from weighbridge.bench.storage import calibration, coding, journals, known_peaks

LINES = b"\n".join(coding.encoder.encode(each) for each in (make_thrice("torch"), make_thrice("flax", 0.005)))
PYPROJECT = b'[tool.weighbridge]\nspeed = "5%"\nmemory = 0.1\nrequire-all = false\n'
SUITE = b"""about = "x"
reference = "fake"
device = "cpu"
[[cells]]
tasks = ["tabular-regression"]
backends = ["fake"]
scenarios = ["infer"]
batch_sizes = [1]
"""
REQUEST = {
    "command": "run",
    "options": {
        "suite": "fake", "tasks": "", "backends": "", "option": None, "scenarios": "", "setting": None,
        "precisions": "", "batch-sizes": "", "preset": "", "device": "", "effort": "quick", "allocator": "keep",
    },
}  # fmt: skip
HUGE = (b"\xff\xfe\x00\xd8", bytes(64), b"", b"[" * 5000 + b"]" * 5000, b"x = " + b"9" * 5000, b"null", b"[1]", b"7")


def _wrong(rng: random.Random, good: bytes) -> bytes:
    """A file that was good, and is not."""
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(HUGE)
    if kind < 0.6:
        return damaged(rng, good)
    try:
        return json.dumps(mutated(rng, json.loads(good))).encode()
    except (ValueError, RecursionError):  # TOML: a word for another
        words = good.split(b" ")
        words[rng.randrange(len(words))] = rng.choice((b"7", b"nan", b"[]", b'""', b"-1", b"true", b"9" * 5000))
        return b" ".join(words)


def _pyproject(rng: random.Random, folder: Path) -> list[str]:
    (folder / "pyproject.toml").write_bytes(_wrong(rng, PYPROJECT))
    return ["compare", "run", "run"]


def _request(rng: random.Random, folder: Path) -> list[str]:
    (folder / "run" / "records.request.json").write_bytes(_wrong(rng, json.dumps(REQUEST).encode()))
    return ["run", "--resume", "--out", "run", "--plan"]


def _suite(rng: random.Random, folder: Path) -> list[str]:
    (folder / "suites").mkdir()
    (folder / "suites" / "mine.toml").write_bytes(_wrong(rng, SUITE))
    return ["run", "--suite", "mine", "--plan"]


def _calibration(rng: random.Random, folder: Path) -> list[str]:
    kind = Kind(cell=make_cell(), floor=0.02, pairs=20, false_verdicts=0.0, ratios=[(1.0, 0.9, 1.1)])
    good = msgspec.json.encode(Calibration(tier="quick", kinds={str(kind.cell): kind}))
    file = calibration.path(folder / "cache", "quick")
    file.parent.mkdir(parents=True)
    file.write_bytes(_wrong(rng, good))
    return ["doctor", "--json"]


def _peaks(rng: random.Random, folder: Path) -> list[str]:
    peaks = {
        "machine": environment.machine_name(), "device": "cpu", "bytes_per_s": 1e10, "flops_per_s": {"fp32": 1e11},
        "measured": "2026-11-26", "by": "fake",
    }  # fmt: skip
    file = known_peaks.path(folder / "cache", "cpu")
    file.parent.mkdir(parents=True)
    file.write_bytes(_wrong(rng, json.dumps(peaks).encode()))
    (folder / "cache" / "artefacts" / "compiled-foo-bar").mkdir(parents=True)
    return ["report", "run"]


KINDS: tuple[Callable[[random.Random, Path], list[str]], ...] = (_pyproject, _request, _suite, _calibration, _peaks)


def attempt(rng: random.Random, folder: Path, number: int) -> Outcome:
    """Damage one file of settings, and give the command that reads it."""
    (folder / "run").mkdir()
    (folder / "run" / journals.JOURNAL).write_bytes(LINES)
    os.environ["WEIGHBRIDGE_DATA"] = str(folder / "cache")
    spoil = KINDS[number % len(KINDS)]
    typed = spoil(rng, folder)
    read_here: dict[str, Any] = {"files": lambda name: folder}
    ended = weighbridge(typed, folder, before=lambda: vars(registry).update(read_here) if spoil is _suite else None)
    found = [*ended.faults, *(["exit code 1"] if ended.code == 1 else [])]
    return Outcome(failed=[f"{spoil.__name__}: {told}" for told in found])


ATTACKS["settings"] = Attack(
    name="settings",
    promise="one line and exit code 2, or what is damaged is named and counts for nothing",
    attempt=attempt,
    short=60,
    long=1_000,
)
