"""The parent's end of a worker: starts it, talks to it, stops and continues it, and ends it.

It blocks in `select` while it waits: on two processors a parent that spins takes one of them from what is measured.
A worker is stopped with its whole process group: what it started stands still with it. None of them is left behind: the
parent kills the group on its way out; where the parent is killed, the kernel ends the worker, which asks for SIGKILL on
its parent's death, and the guard (`bench.run.guard`) ends the rest of the group.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from weighbridge.bench.core import child
from weighbridge.bench.core.cell import Status
from weighbridge.bench.measure import environment, memory
from weighbridge.bench.measure.environment import THREAD_VARIABLES
from weighbridge.bench.run.guard import Guard
from weighbridge.bench.run.protocol import Answer, encoder, path_from
from weighbridge.bench.scenarios.base import A, Request, answer_type
from weighbridge.bench.storage.files import UNREADABLE, not_followed


@contextmanager
def living(worker: Worker) -> Generator[Worker]:
    """A worker that is dead afterwards; its log stays where it failed."""
    try:
        yield worker
    except WorkerFailed:
        worker.kept = True
        raise
    finally:
        worker.kill()
        if not worker.kept:
            worker.log.unlink(missing_ok=True)
            with suppress(OSError):
                worker.log.parent.rmdir()


answer_decoder = msgspec.json.Decoder(Answer)
guard = Guard()


MOST_BYTES = 2**30
"""Of one answer: the longest of ours, a server's latencies, are a few million."""
LONGEST_WAIT_S = 1e6
"""In one call: the system counts them in 64 bits of nanoseconds, and less."""


class WorkerFailed(Exception):
    """A worker that answered with a failure, died, or ran out of time."""

    def __init__(self, status: Status, reason: str) -> None:
        self.status: Status = status
        self.reason = reason
        super().__init__(reason)


class Worker:
    """A process that answers requests, as `bench.run.worker` does, and the pipes to it.

    `left_s` is what is left of its time: waiting for it spends it.

    Answers come through a pipe of their own: whatever the process prints, from its first import on, is in its log.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        log: Path,
        left_s: float,
        progress: Callable[[float], None] = lambda fraction: None,
        module: str = "weighbridge.bench.run.worker",
    ) -> None:
        self.log, self.left_s, self.progress = log, left_s, progress
        self.kept = False
        """Whether its log is worth keeping."""
        self.kills = oom_kills()
        log.parent.mkdir(parents=True, exist_ok=True)
        ours, theirs = os.pipe()
        with open(log, "wb", opener=not_followed) as printed:
            self.process = subprocess.Popen(
                child.command("-m", module, str(os.getpid()), str(theirs)),
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                pass_fds=(theirs,),
                env={**os.environ, **child.path_variables(), **variables},
                start_new_session=True,
            )
        guard.add(self.process.pid)
        os.close(theirs)
        assert self.process.stdin
        self.stdin, self.answers = self.process.stdin, os.fdopen(ours, "rb")
        os.set_blocking(ours, False)
        self.unread = b""

    def ask(self, request: Request[A], /) -> A:
        """Sends a request and blocks until its answer; progress on the way goes to the watcher."""
        self.send(request)
        return self.answer(request)

    def send(self, request: Request[Any]) -> None:
        """Hands in a request without waiting: several workers can then load at the same time."""
        with suppress(BrokenPipeError):  # a worker that died tells why through its exit
            self.stdin.write(encoder.encode(request) + b"\n")
            self.stdin.flush()

    def answer(self, request: Request[A]) -> A:
        """Blocks until the answer to `request`, the oldest that was sent."""
        while True:
            try:
                answer = answer_decoder.decode(self._line())
                if answer.progress is None and not answer.failure:
                    return msgspec.json.decode(answer.value, type=answer_type(request), dec_hook=path_from)
            except UNREADABLE as error:
                told = " ".join(str(error).split())[:300]
                raise WorkerFailed("crashed", f"the worker wrote into the pipe of its answers: {told}") from error
            if answer.failure:
                raise WorkerFailed("oom" if answer.failure == "oom" else "crashed", answer.reason)
            self.progress(min(1.0, max(0.0, answer.progress or 0.0)))

    def _line(self) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(self.answers, selectors.EVENT_READ)
            while b"\n" not in self.unread:
                begin = time.monotonic()
                ready = self.left_s > 0 and selector.select(min(self.left_s, LONGEST_WAIT_S))
                self.left_s -= time.monotonic() - begin
                if not ready and self.left_s <= 0:
                    raise WorkerFailed("timeout", "over the time limit; raise it with --time-limit")
                piece = self.answers.read() if ready else None
                if piece == b"":
                    raise self._death()
                self.unread += piece or b""
                if len(self.unread) > MOST_BYTES:
                    raise WorkerFailed("crashed", "the worker wrote without an end into the pipe of its answers")
        line, self.unread = self.unread.split(b"\n", 1)
        return line

    def _death(self) -> WorkerFailed:
        code = self.process.wait()
        tail = self.log.read_text(errors="replace").strip().splitlines()[-20:]
        last = next((line.strip() for line in reversed(tail) if line.strip()), "")
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        full = oom_kills() > self.kills or memory.says_full("\n".join(tail))
        return WorkerFailed("oom" if full else "crashed", f"worker {how}" + (f": {last[:300]}" if last else ""))

    def pause(self) -> None:
        """Stops it, and what it started, where they stand; they use no processor until they are resumed."""
        self._signal(signal.SIGSTOP)

    @contextmanager
    def awake(self) -> Generator[None]:
        """Runs inside, is stopped afterwards, whatever happened."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.pause()

    def _signal(self, number: signal.Signals) -> None:
        """Signal the whole group, which is gone only once everything in it is."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def cpu_s(self) -> float:
        """Processor seconds that it has used; 0 once it is gone."""
        return environment.process_cpu_s(self.process.pid)

    def kill(self) -> None:
        """Ends the process and whatever it started."""
        self._signal(signal.SIGKILL)
        self.process.wait()
        guard.discard(self.process.pid)
        with suppress(BrokenPipeError):  # a request that a dead worker never read is still in the buffer
            self.stdin.close()
        self.answers.close()


def oom_kills() -> int:
    """Count the processes that this system's kernel has killed for memory since it started."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def thread_variables() -> dict[str, str]:
    """Return equal thread counts for every worker: one a usable processor, unless the user chose (rule 12)."""
    count = str(len(environment.usable_cpus()))
    return {name: os.environ.get(name, count) for name in THREAD_VARIABLES}
