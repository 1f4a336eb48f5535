"""100 random kill points of a run on `fake`, parent or worker, each followed by `--resume`.

One run folder is killed again and again while it goes on: after every kill, what was in the journal is still
there, byte for byte; and when it is done, every cell has exactly one record.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bench import store

KILLS = 100
SIZES = ",".join(map(str, range(1, 13)))
LONGEST_S = 2.5


def start(out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.cli", "run", "--suite", "fake", "--batch-sizes", SIZES]
    return subprocess.Popen(
        [*command, "--out", str(out), "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )  # fmt: skip


def kill_at_random(process: subprocess.Popen[bytes], rng: random.Random) -> bool:
    """Kills the parent or its worker after a random while; false where the run had ended before."""
    time.sleep(rng.uniform(0, LONGEST_S))
    victims = [psutil.Process(process.pid)]
    with suppress(psutil.NoSuchProcess):
        victims += victims[0].children()
    if process.poll() is not None:
        return False
    with suppress(psutil.NoSuchProcess):
        rng.choice(victims).kill()
    return True


def whole_lines(journal: Path) -> list[bytes]:
    content = journal.read_bytes() if journal.exists() else b""
    return [line for line in content.split(b"\n") if store.parse(line)]


def test_no_record_is_lost_or_doubled(tmp_path_factory: pytest.TempPathFactory) -> None:
    rng, kills, rounds = random.Random(0), 0, 0
    while kills < KILLS:
        out = tmp_path_factory.mktemp("run")
        rounds += 1
        kills += one_folder(out, rng, KILLS - kills)
        records, damaged = store.read(store.journal(out))
        assert not damaged
        assert sorted(record.cell.batch_size for record in records) == list(range(1, 13))
        assert {record.status for record in records} <= {"ok", "crashed"}
    assert rounds < KILLS


def one_folder(out: Path, rng: random.Random, most: int) -> int:
    """Resumes one folder to its end under up to `most` kills; returns how many there were."""
    kills, before = 0, list[bytes]()
    while True:
        process = start(out)
        if kills < most and kill_at_random(process, rng):
            kills += 1
        _, errors = process.communicate(timeout=120)
        assert b"Traceback" not in errors, errors.decode()
        now = whole_lines(store.journal(out))
        assert now[: len(before)] == before
        before = now
        if process.returncode in (0, 1):
            return kills
