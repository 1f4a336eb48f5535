"""Backends and tasks of others that raise, hang, lie, fork, and end their process: they cost their own cells."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.hostile.attack import ATTACKS, Attack, Outcome
from tests.hostile.command import CONTROLS, SIGNS
from weighbridge.bench.core import child
from weighbridge.bench.storage import journals
from weighbridge.bench.storage.packages import cache_folder

LIMIT_S = 300.0
BACKEND = """
import math, os, stat, sys, time

def _open(n):
    try:
        return stat.S_ISFIFO(os.fstat(n).st_mode)
    except OSError:
        return False

{top}
from weighbridge.backends.fake import Fake, FakeSession

class Session(FakeSession):
{session}

class Hostile(Fake):
    name = {name!r}
    hidden = False
{backend}
    def open(self, model, weights, cell):
        opened = super().open(model, weights, cell)
        opened.__class__ = Session
        return opened
"""
PASS = "    pass"
STEP = "    def step(self, x):\n        {0}\n        return super().step(x)"
CLOCK = "    def clock(self):\n        return {0}"
SESSIONS: Mapping[str, str] = {
    "forks in a step": STEP.format("vars(self).setdefault('copies', []) or self.copies.append(os.fork())"),
    "ends in a step": STEP.format("os._exit(0)"),
    "leaves in a step": STEP.format("sys.exit(0)"),
    "kills itself": STEP.format("os.kill(os.getpid(), 9)"),
    "recurses without end": STEP.format("(lambda f: f(f))(lambda f: f(f))"),
    "writes into its pipe": STEP.format("[os.write(n, b'garbage\\n') for n in range(3, 16) if _open(n)]"),
    "writes without an end": STEP.format(
        "[os.write(n, b'x' * 65536) for n in range(3, 16) if _open(n) for _ in range(99)]"
    ),
    "closes everything": STEP.format("os.closerange(0, 64)"),
    "a clock of NaN": CLOCK.format("math.nan"),
    "a clock that stands still": CLOCK.format("0.0"),
    "a clock that runs backwards": CLOCK.format("-time.perf_counter()"),
    "a clock of text": CLOCK.format("'noon'"),
    "facts that are no JSON": "    def facts(self):\n        return {'threads': {1: object}}",
    "facts without an end": "    def facts(self):\n        return {'threads': 2, 'x': ['y' * 1000] * 10000}",
    "outputs that are text": "    def to_host(self, y):\n        return 'nothing'",
    "escapes in a reason": STEP.format("raise ValueError('\\x1b[31mred\\u202e <script>')"),
    "a reason of a megabyte": STEP.format("raise ValueError('x' * 2**20)"),
    "interrupts its group": STEP.format("os.killpg(0, 2)"),
}
BACKENDS: Mapping[str, str] = {
    "why_not raises": "    def why_not(self, cell):\n        raise RuntimeError('no')",
    "why_not ends": "    def why_not(self, cell):\n        os._exit(0)",
    "why_not is no text": "    def why_not(self, cell):\n        return 7",
    "env raises": "    def env(self, cell, cache):\n        raise RuntimeError('no')",
    "env is no text": "    def env(self, cell, cache):\n        return {'A': 7}",
    "env with a null": "    def env(self, cell, cache):\n        return {'A': 'x\\x00y'}",
    "env that breaks Python": "    def env(self, cell, cache):\n        return {'PYTHONHOME': '/nowhere'}",
    "imports what is not there": "    def imports(self, model):\n        return ('no_such_module',)",
}
TOPS: Mapping[str, str] = {
    "import raises": "raise RuntimeError('no')",
    "import ends": "os._exit(0)",
    "import leaves": "sys.exit(0)",
    "import interrupts": "raise KeyboardInterrupt",
    "import hangs": "time.sleep(1000)",
    "import is no Python": "def def",
    "import writes into pipes": "[os.write(n, b'garbage\\n') for n in range(3, 16) if _open(n)]",
    "import prints": "print('{}' * 1000)",
    "import closes everything": "os.closerange(0, 64)",
}
NAMES: tuple[str, ...] = ("../../../../owned", "fake", "", "a b", "\x1b[31mred", "x" * 5000, "a/b", ".hidden")
CASES: list[tuple[str, dict[str, str]]] = [
    *((name, {"session": text}) for name, text in SESSIONS.items()),
    *((name, {"backend": text}) for name, text in BACKENDS.items()),
    *((name, {"top": text}) for name, text in TOPS.items()),
    *((f"is called {name[:20]!r}", {"name": name}) for name in NAMES),
]


def attempt(rng: random.Random, folder: Path, number: int) -> Outcome:
    """Weigh a hostile backend beside one that is not, which must end well."""
    what, parts = CASES[number % len(CASES)]
    text = BACKEND.format(**{"top": "", "session": PASS, "backend": "", "name": "hostile", **parts})
    (folder / "mine.py").write_text(text)
    words = ["run", "--suite", "fake", "--batch-sizes", "1", "--time-limit", "40", "--out", "out"]
    told = run([*words, "--tasks", "tabular-regression", "--backends", "fake,./mine.py"], folder)
    failed = faults(told, (0, 1, 2))
    if told.returncode != 2:  # a file that cannot be read is a request that cannot be served
        records = journals.read(folder / "out" / journals.JOURNAL)[0]
        failed += (
            [] if [r.status for r in records if r.cell.backend == "fake"] == ["ok"] else ["the other cell is lost"]
        )
        failed += [
            f"{sign!r} in {file.name}"
            for file in (folder / "out").glob("report.*")
            for sign in CONTROLS
            if sign in file.read_bytes()
        ]
    failed += ["a file outside"] if (folder.parent / "owned").exists() or Path("/owned").exists() else []
    return Outcome(failed=[f"{what}: {each}" for each in failed])


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    """`weighbridge`, started anew."""
    variables = {**os.environ, **child.path_variables(), "WEIGHBRIDGE_DATA": str(folder / "cache")}
    packages = folder / "cache" / "packages"
    packages.parent.mkdir(exist_ok=True)
    with suppress(FileExistsError):
        packages.symlink_to(cache_folder() / "packages")
    return subprocess.run(
        child.command("-m", "weighbridge", *words),
        cwd=folder,
        env=variables,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )


def faults(ended: subprocess.CompletedProcess[bytes], codes: tuple[int, ...]) -> list[str]:
    """What no command may show."""
    text = ended.stderr.decode(errors="replace")
    found = [] if ended.returncode in codes else [f"exit code {ended.returncode}: {text[-300:]}"]
    found += [f"{sign}: {text[-300:]}" for sign in SIGNS if sign in text]
    return found + [f"{sign!r} on the terminal" for sign in CONTROLS if sign in ended.stdout + ended.stderr]


ATTACKS["plug-ins"] = Attack(
    name="plug-ins",
    promise="costs its own cells, each with a reason; the other cells of the run are ok",
    attempt=attempt,
    short=len(CASES),
    long=len(CASES),
)
