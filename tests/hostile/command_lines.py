"""Command lines that nobody types: one line that says what is wrong, exit code 2, no traceback."""

from __future__ import annotations

import os
import random
from pathlib import Path

from tests.hostile.attack import ATTACKS, Attack, Outcome
from tests.hostile.command import weighbridge
from tests.hostile.values import WORDS

FAKE = ["--suite", "fake", "--backends", "fake", "--tasks", "tabular-regression"]
QUICK = ["--time-limit", "0.2", "--out", "out"]
PLANNED = [*FAKE, *QUICK, "--plan"]
COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "run": ([*PLANNED], ["--suite", "--tasks", "--backends", "--scenarios", "--precisions", "--batch-sizes", "--preset",
            "--device", "--out", "--effort", "--allocator", "--time-limit", "-S", "-O", "--resume"]),
    "sweep": ([*PLANNED], ["--suite", "--tasks", "--most", "--memory-limit", "--precisions", "--preset"]),
    "load": ([*FAKE, *QUICK], ["--scenarios", "--bound-ms", "--rate", "--queue", "--linger-ms", "--batch-sizes"]),
    "churn": ([*QUICK, "--backends", "fake"], ["--tasks", "--batches", "--passes", "--precisions", "--batch-sizes"]),
    "report": ([], ["--reference", "--out", ""]),
    "compare": ([], ["--speed", "--memory", "--score", "", "--json"]),
    "history": ([], ["--machine", "--results", ""]),
    "baseline": (["show"], ["--machine", ""]),
    "data": (["verify"], ["", "--json"]),
    "list": ([], ["", "--all"]),
    "export": (["tabular-regression", "--format", "none"],
               ["--preset", "--precision", "--out", "--backend", "--weights", "--time-limit", "--check", ""]),
}  # fmt: skip
MEASURES = ("load", "churn")
"""Must be given something that cannot be, or they would measure."""
NEVER = ("nan", "-1", "1e300", "inf", "x" * 300, "\x1b[31mred", "../../owned", "<script>alert(1)</script>")
KNOWN = (
    ["data", "list", "--json"], ["run", *FAKE, "--plan", "--time-limit", "inf"], ["load", *FAKE, "--rate", "1e300"],
    ["run", *FAKE, "--plan", "--time-limit", "nan"], ["peaks", "--precisions", ""], ["load", *FAKE, "--rate", "inf"],
    ["run", *FAKE, "--plan", "--batch-sizes", "9" * 5000], ["run", *FAKE, "--plan", "--batch-sizes", "9" * 12],
    ["sweep", *FAKE, "--plan", "--memory-limit", "9" * 5000], ["run", *FAKE, "--out", "x" * 300],
    ["run", *FAKE, "--out", "/proc/version"], ["run", *FAKE, "--out", "x.jsonl"], ["report", "/proc"],
)  # fmt: skip
"""Each was seen to end in a traceback, or is its neighbour."""


def words(rng: random.Random, number: int) -> list[str]:
    """A command with one to three options that nobody would type."""
    if number < len(KNOWN):
        return KNOWN[number]
    name = rng.choice(list(COMMANDS))
    fixed, options = COMMANDS[name]
    found = [name, *fixed]
    for _ in range(rng.randint(1, 3)):
        found += [word for word in (rng.choice(options), rng.choice(NEVER if name in MEASURES else WORDS)) if word]
    return [word.replace("\x00", "") for word in found]


def attempt(rng: random.Random, folder: Path, number: int) -> Outcome:
    """Type it."""
    typed = words(rng, number)
    os.environ["WEIGHBRIDGE_DATA"] = str(folder / "cache")
    ended = weighbridge(typed, folder)
    found = [*ended.faults]
    found += ["exit code 1"] if ended.code == 1 and typed[0] not in (*MEASURES, "data") else []
    return Outcome(failed=[f"{' '.join(typed)[:200]!r}: {told}" for told in found])


ATTACKS["command lines"] = Attack(
    name="command lines",
    promise="exit code 0, or 2 and what is wrong; no traceback, no escape on the terminal",
    attempt=attempt,
    short=120,
    long=2_000,
)
