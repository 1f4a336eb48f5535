"""100 random kill points of a run on `fake`, parent or worker, each followed by `--resume`.

One run folder is killed again and again while it goes on: after every kill, what was in the journal is still
there, byte for byte; and when it is done, every cell has exactly one record.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bench.storage import journals
from tests.conftest import workers_of

KILLS = 100
SIZES = list(range(1, 7))
LONGEST_S = 1.5


def start(out: Path) -> subprocess.Popen[bytes]:
    sizes = ",".join(map(str, SIZES))
    command = [sys.executable, "-m", "bench.cli", "run", "--suite", "fake", "--batch-sizes", sizes, "--resume"]
    return subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill(victim: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        victim.kill()


def kill_at_random(process: subprocess.Popen[bytes], rng: random.Random) -> int:
    """After a random while kills the parent, or one of its workers and then, a random while later, the parent.

    Returns the number of kills; none where the run had ended before.
    """
    parent, kills = psutil.Process(process.pid), 0
    for may_choose_a_worker in (True, False):
        time.sleep(rng.uniform(0, LONGEST_S))
        workers: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            workers = workers_of(parent) if may_choose_a_worker else []
        if process.poll() is not None:
            return kills
        victim = rng.choice([parent, *workers])
        kill(victim)
        kills += 1
        if victim is parent:
            return kills
    return kills


def whole_lines(journal: Path) -> list[bytes]:
    content = journal.read_bytes() if journal.exists() else b""
    return [line for line in content.split(b"\n") if journals.parse(line)]


def test_no_record_is_lost_or_doubled(tmp_path_factory: pytest.TempPathFactory) -> None:
    rng, kills = random.Random(0), 0
    while kills < KILLS:
        out = tmp_path_factory.mktemp("run")
        kills += one_folder(out, rng, KILLS - kills)
        records, damaged = journals.read(journals.journal(out))
        assert not damaged
        assert sorted(record.cell.batch_size for record in records) == SIZES
        assert {record.status for record in records} <= {"ok", "crashed"}
    assert kills >= KILLS


def one_folder(out: Path, rng: random.Random, most: int) -> int:
    """Resumes one folder to its end under at least `most` kills where it lasts; returns how many there were."""
    kills, before = 0, list[bytes]()
    while True:
        process = start(out)
        if kills < most:
            kills += kill_at_random(process, rng)
        _, errors = process.communicate(timeout=120)
        assert process.returncode in (0, 1, -signal.SIGKILL), errors.decode()
        assert b"Traceback" not in errors, errors.decode()
        now = whole_lines(journals.journal(out))
        assert now[: len(before)] == before
        before = now
        if process.returncode in (0, 1):
            return kills
