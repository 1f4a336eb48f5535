"""Real workers: stopped, continued, ended, and never left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from weighbridge.bench.measure import environment
from weighbridge.bench.measure.environment import THREAD_VARIABLES
from weighbridge.bench.run.process import Worker, WorkerFailed, thread_variables
from weighbridge.bench.scenarios.steps.requests import Close

KILLS, AT_ONCE = 50, 6
GONE_WITHIN_S = 15.0
MARK = "WEIGHBRIDGE_TEST_MARK"

Start = Callable[..., Worker]


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < until:
        time.sleep(0.005)
    return found


def stopped(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_STOPPED
    return False


def of(worker: Worker) -> psutil.Process:
    return psutil.Process(worker.process.pid)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    workers: list[Worker] = []

    def started(left_s: float = 20.0) -> Worker:
        workers.append(Worker({}, tmp_path / "logs" / "log", left_s, lambda fraction: None))
        return workers[-1]

    yield started
    for worker in workers:
        worker.kill()


def test_a_paused_worker_stands_still(start: Start) -> None:
    worker = start()
    worker.pause()
    assert wait_until(lambda: stopped(of(worker)))
    before = worker.cpu_s()
    time.sleep(0.2)
    assert worker.cpu_s() == before


def test_it_is_awake_inside_and_stopped_afterwards(start: Start) -> None:
    worker = start()
    worker.pause()
    assert wait_until(lambda: stopped(of(worker)))
    with worker.awake():
        assert wait_until(lambda: not stopped(of(worker)))
    assert wait_until(lambda: stopped(of(worker)))


def test_it_is_stopped_whatever_happens_inside(start: Start) -> None:
    worker = start()
    with pytest.raises(KeyboardInterrupt), worker.awake():
        raise KeyboardInterrupt
    assert wait_until(lambda: stopped(of(worker)))


def test_it_can_be_asked_after_it_was_stopped(start: Start) -> None:
    """Nothing is open, so the answer is a failure; but it is an answer."""
    worker = start()
    worker.send(Close())
    worker.pause()
    assert wait_until(lambda: stopped(of(worker)))
    with worker.awake(), pytest.raises(WorkerFailed, match="AttributeError"):
        worker.answer(Close())


def test_a_stopped_worker_is_ended(start: Start) -> None:
    worker = start()
    process = of(worker)
    worker.pause()
    assert wait_until(lambda: stopped(process))
    worker.kill()
    assert not process.is_running()
    assert worker.process.returncode == -signal.SIGKILL
    assert worker.cpu_s() == 0.0


def test_a_dead_worker_can_be_paused_woken_and_killed(start: Start) -> None:
    worker = start()
    worker.kill()
    worker.pause()
    with worker.awake():
        pass
    worker.kill()


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """Something that holds a helper, in the place of a worker whose compiler runs."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nsleep 600 &\nwait\n")
    script.chmod(0o755)
    return script


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_what_a_worker_started_stands_still_with_it_and_ends_with_it(
    start: Start, stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()  # the guard must be Python's
    monkeypatch.setattr(sys, "executable", str(stand_in))
    worker = Worker({}, tmp_path / "log", 20.0)
    assert wait_until(lambda: bool(of(worker).children()))
    (helper,) = of(worker).children()
    worker.pause()
    assert wait_until(lambda: stopped(helper))
    with worker.awake():
        assert wait_until(lambda: not stopped(helper))
    assert wait_until(lambda: stopped(helper))
    worker.kill()
    assert wait_until(lambda: gone(helper))


HOLDS_A_HELPER = """
import sys, time
from pathlib import Path
from weighbridge.bench.run import process
process.guard.add(10**7)  # no such group: the guard must be Python's
sys.executable = {stand_in!r}
worker = process.Worker({{}}, Path({log!r}), 20.0)
time.sleep(0.5)
worker.pause()
print(worker.process.pid, flush=True)
time.sleep(60)
"""


def test_what_stands_still_ends_with_a_killed_parent(stand_in: Path, tmp_path: Path) -> None:
    code = HOLDS_A_HELPER.format(stand_in=str(stand_in), log=str(tmp_path / "log"))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        worker = psutil.Process(int(parent.stdout.readline()))
        family = [worker, *worker.children()]
        assert len(family) == 2
        assert wait_until(lambda: all(map(stopped, family)))
        parent.kill()
    assert wait_until(lambda: all(map(gone, family)))


@pytest.mark.alone
def test_the_process_that_watches_imports_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys, weighbridge.bench.run.guard; print([name for name in sys.modules if name in ('numpy', 'msgspec')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_waiting_spends_its_time_and_nothing_else_does(start: Start) -> None:
    worker = start(left_s=20.0)
    time.sleep(0.3)
    assert worker.left_s == 20.0
    begin = time.monotonic()
    with pytest.raises(WorkerFailed):
        worker.ask(Close())
    waited = time.monotonic() - begin
    assert worker.left_s == pytest.approx(20.0 - waited, abs=0.05)


@pytest.mark.alone
def test_a_worker_out_of_time_is_not_waited_for(start: Start) -> None:
    worker = start(left_s=0.3)
    begin = time.monotonic()
    for _ in range(2):
        with pytest.raises(WorkerFailed, match="raise it with --time-limit") as failure:
            worker.answer(Close())
        assert failure.value.status == "timeout"
    assert 0.3 <= time.monotonic() - begin < 0.3 + 2.0
    assert worker.left_s <= 0


def test_the_parent_blocks_while_it_waits(start: Start) -> None:
    """On two processors a parent that spins takes one of them from what is measured."""
    worker = start(left_s=1.0)
    before = time.process_time()
    with pytest.raises(WorkerFailed, match="time limit"):
        worker.answer(Close())
    assert time.process_time() - before < 0.05


def test_a_worker_that_died_before_it_was_asked_is_a_failure_and_no_more(start: Start) -> None:
    worker = start()
    worker.process.kill()
    worker.process.wait()
    with pytest.raises(WorkerFailed, match="killed by SIGKILL") as failure:
        worker.ask(Close())
    assert failure.value.status == "crashed"


def test_every_worker_gets_the_same_threads_unless_the_user_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    count = str(len(environment.usable_cpus()))
    assert thread_variables() == dict.fromkeys(THREAD_VARIABLES, count)
    monkeypatch.setenv(THREAD_VARIABLES[0], "7")
    assert thread_variables()[THREAD_VARIABLES[0]] == "7"


def marked(mark: str) -> list[psutil.Process]:
    """Every process alive, wherever it hangs, that inherited this mark."""
    found: list[psutil.Process] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, psutil.NoSuchProcess):
            if f"{MARK}={mark}\0".encode() in (folder / "environ").read_bytes():
                found.append(psutil.Process(int(folder.name)))
    return found


def kill_a_parent(out: Path, seed: int) -> list[str]:
    """`kill -9` of a run a random while after one of its workers stands still; what is then left of it."""
    rng, mark = random.Random(seed), uuid.uuid4().hex
    command = [sys.executable, "-m", "weighbridge", "run", "--suite", "fake", "--backends", "fake,null"]
    command += ["--tier", "standard", "--batch-sizes", "1,2,3,4,5,6,7,8", "--out", str(out)]
    quiet = subprocess.DEVNULL
    variables = {**os.environ, MARK: mark, "WEIGHBRIDGE_DATA": str(out.parent / "data")}
    parent = subprocess.Popen(command, env=variables, stdout=quiet, stderr=quiet)
    try:
        handle = psutil.Process(parent.pid)
        assert wait_until(lambda: any(map(stopped, handle.children())), 60.0), "no worker ever stood still"
        time.sleep(rng.uniform(0.0, 2.0))
        assert parent.poll() is None, "the run was over before it was killed"
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not marked(mark), GONE_WITHIN_S)
    left = marked(mark)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return [str(process) for process in left]


def test_a_killed_parent_leaves_no_worker_behind_50_times_of_50(tmp_path: Path) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        left = list(pool.map(lambda seed: kill_a_parent(tmp_path / str(seed), seed), range(KILLS)))
    assert left == [[]] * KILLS
