"""Kills and signals at any moment of a run, its imports among them: nothing is lost or doubled, nobody left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.conftest import workers_of
from tests.hostile.attack import ATTACKS, Attack, Outcome
from tests.hostile.command import SIGNS
from weighbridge.bench.core import child
from weighbridge.bench.storage import coding, journals
from weighbridge.bench.storage.packages import cache_folder

SIZES = [1, 2, 3, 4]
LONGEST_S, GONE_WITHIN_S, END_S = 2.0, 15.0, 120.0
MOST_KILLS = 12
MARK = "WEIGHBRIDGE_ATTACK"
ENDS = {signal.SIGINT: (130,), signal.SIGTERM: (-15, 143), signal.SIGHUP: (-1, 129), signal.SIGQUIT: (-3, 131)}
"""What a command may end with where a signal ended it."""


def start(folder: Path, mark: str) -> subprocess.Popen[bytes]:
    """A run of small cells, which goes on where the last one was ended."""
    sizes = ",".join(map(str, SIZES))
    words = ["run", "--suite", "fake", "--batch-sizes", sizes, "--resume", "--out", str(folder / "out")]
    variables = {**os.environ, **child.path_variables(), MARK: mark, "WEIGHBRIDGE_DATA": str(folder / "cache")}
    (folder / "cache").mkdir(exist_ok=True)
    with suppress(FileExistsError):
        (folder / "cache" / "packages").symlink_to(cache_folder() / "packages")
    return subprocess.Popen(
        child.command("-m", "weighbridge", *words), env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        cwd=folder, start_new_session=True, preexec_fn=_hears_interrupts,
    )  # fmt: skip


def _hears_interrupts() -> None:
    """A shell has what it starts in the background ignore interrupts, and so would a run under it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def left_behind(mark: str) -> list[str]:
    """Processes of a run that live on after its end, when all have had time to go."""
    end = time.monotonic() + GONE_WITHIN_S
    while (found := _marked(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    for each in found:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    return [f"left behind: {each.pid}" for each in found]


def _marked(mark: str) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for each in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if each.environ().get(MARK) == mark and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found


def after(folder: Path, kept: list[bytes]) -> tuple[list[bytes], list[str]]:
    """The whole records of the journal, and whether those of before stand as they stood."""
    journal = folder / "out" / journals.JOURNAL
    content = journal.read_bytes() if journal.exists() else b""
    now = [line for line in content.split(b"\n") if coding.parse(line)]
    return now, [] if now[: len(kept)] == kept else ["a record that was on the disk is gone"]


def finished(folder: Path) -> list[str]:
    """Whether every cell has one record, once the run is done."""
    records, damaged = journals.read(folder / "out" / journals.JOURNAL)
    found = sorted(record.cell.batch_size for record in records)
    told = [] if found == SIZES else [f"cells {found} of {SIZES}"]
    told += [] if {record.status for record in records} <= {"ok", "crashed"} else ["a cell that did not end well"]
    return told + (["damaged lines"] if damaged else [])


def kill(rng: random.Random, folder: Path, number: int) -> Outcome:
    """Resume one run to its end, under kills of it or of one of its workers."""
    tried, kept, failed, mark = 0, list[bytes](), list[str](), f"{os.getpid()}-{number}"
    while True:
        process = start(folder, mark)
        if tried < MOST_KILLS:
            tried += _kill_at_random(process, rng)
        _, told = process.communicate(timeout=END_S)
        failed += [
            f"{sign}: {told.decode(errors='replace')[-300:]}" for sign in SIGNS if sign in told.decode(errors="replace")
        ]
        failed += [] if process.returncode in (0, 1, -signal.SIGKILL) else [f"exit code {process.returncode}"]
        kept, gone = after(folder, kept)
        failed += gone
        if process.returncode in (0, 1) or failed:
            return Outcome(tried, failed + (finished(folder) if not failed else []) + left_behind(mark))


def _kill_at_random(process: subprocess.Popen[bytes], rng: random.Random) -> int:
    parent, kills = psutil.Process(process.pid), 0
    for may_choose_a_worker in (True, False):
        time.sleep(rng.uniform(0, LONGEST_S))
        workers: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            workers = workers_of(parent) if may_choose_a_worker else []
        if process.poll() is not None:
            return kills
        victim = rng.choice([parent, *workers])
        with suppress(psutil.NoSuchProcess):
            if victim is not parent and rng.random() < 0.3:  # stood still from outside, perhaps before it armed itself
                victim.suspend()
                victim = parent
            victim.kill()
        kills += 1
        if victim is parent:
            return kills
    return kills


def send(rng: random.Random, folder: Path, number: int) -> Outcome:
    """A signal at any moment, from its first import on; then the run goes on to its end."""
    failed, mark = list[str](), f"{os.getpid()}-{number}"
    process, chosen = start(folder, mark), rng.choice([*ENDS, signal.SIGINT, signal.SIGINT])
    time.sleep(rng.choice((rng.uniform(0.05, 0.5), rng.uniform(0.0, 4.0))))
    if chosen == signal.SIGINT:
        _wait_for_our_imports(process)
    process.send_signal(chosen)
    _, told = process.communicate(timeout=END_S)
    text = told.decode(errors="replace")
    failed += [f"{chosen.name}: {sign}: {text[-300:]}" for sign in SIGNS if sign in text]
    failed += ["130 without a word"] if process.returncode == 130 and b"weighbridge: interrupted" not in told else []
    failed += [] if process.returncode in (0, 1, *ENDS[chosen]) else [f"{chosen.name}: exit code {process.returncode}"]
    failed += left_behind(mark)
    kept, _ = after(folder, [])
    again = start(folder, mark)
    _, told = again.communicate(timeout=END_S)
    failed += after(folder, kept)[1] + finished(folder)
    return Outcome(1, failed + left_behind(mark))


def _wait_for_our_imports(process: subprocess.Popen[bytes]) -> None:
    """Wait until Python itself has started: before, a signal is answered by it and not by us."""
    with suppress(psutil.NoSuchProcess):
        files = psutil.Process(process.pid)
        end = time.monotonic() + 5
        while time.monotonic() < end and not any("msgspec" in each.path for each in files.memory_maps()):
            time.sleep(0.005)


ATTACKS["kills"] = Attack(
    name="kills",
    promise="no record is lost or doubled, every cell has one in the end, no process is left behind",
    attempt=kill,
    short=40,
    long=1_000,
)
ATTACKS["signals"] = Attack(
    name="signals",
    promise="one line and 130 after an interrupt, no traceback, nobody left behind, and `--resume` ends the run",
    attempt=send,
    short=4,
    long=500,
)
