"""Cells -> worker processes -> records. Thin: it imports no framework, and it blocks while it waits.

One process a cell, in a process group of its own, fed by `bench.weigh`. Whatever becomes of a worker, its cell
ends in a record and the run goes on (MEASURING.md, rule 26).
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bench import environment, memory, store
from bench.artefacts import Artefacts
from bench.core import Backend, Cell, WeighbridgeError
from bench.environment import THREAD_VARIABLES
from bench.record import Record, Status, provenance
from bench.weigh import ParityError, Tier, Weighing
from bench.worker import Answer, First, Open, Prepare, Request, encoder, path_from

answer_decoder = msgspec.json.Decoder(Answer)


class WorkerFailed(Exception):
    """A worker that answered with a failure, died, or ran out of time."""

    def __init__(self, status: Status, reason: str) -> None:
        self.status: Status = status
        self.reason = reason
        super().__init__(reason)


class Watcher(Protocol):
    """Who is told what a run does. The terminal display is one; tests have another."""

    def started(self, cell: Cell) -> None:
        """A cell's turn has come."""

    def phase(self, name: str) -> None:
        """What its worker does now."""

    def progress(self, fraction: float) -> None:
        """How far that is, 0 to 1, where it can tell."""

    def finished(self, record: Record) -> None:
        """A cell's record is on the disk."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a run needs beside its cells."""

    reference: str
    tier: Tier
    time_limit_s: float
    root: Path
    """The cache that holds artefacts and compiled programs."""
    backends: Mapping[str, Any]
    """Name -> Backend, the reference's among them."""
    tasks: Mapping[str, Any]
    """Name -> Task."""
    files: Callable[[str], dict[str, Path]]
    """Task name -> its verified data folders. Raises WeighbridgeError where a package cannot be had."""


class Worker:
    """A `bench.worker` process and the pipe to it."""

    def __init__(
        self, variables: Mapping[str, str], log: Path, deadline: float, progress: Callable[[float], None]
    ) -> None:
        self.log, self.deadline, self.progress = log, deadline, progress
        self.kills = oom_kills()
        self.kept = False
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **variables},
                start_new_session=True,
            )
        assert self.process.stdin and self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        os.set_blocking(self.stdout.fileno(), False)
        self.unread = b""

    def ask(self, request: Request) -> dict[str, Any]:
        """Sends a request and blocks until its answer; progress on the way goes to the watcher."""
        with suppress(BrokenPipeError):  # a worker that died tells why through its exit
            self.stdin.write(encoder.encode(request) + b"\n")
            self.stdin.flush()
        while True:
            answer = answer_decoder.decode(self._line())
            if answer.failure:
                raise WorkerFailed("oom" if answer.failure == "oom" else "crashed", answer.reason)
            if answer.progress is None:
                return answer.value
            self.progress(answer.progress)

    def _line(self) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(self.stdout, selectors.EVENT_READ)
            while b"\n" not in self.unread:
                left = self.deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise WorkerFailed("timeout", "over the time limit; raise it with --time-limit")
                piece = self.stdout.read()
                if not piece:
                    raise self._death()
                self.unread += piece
        line, self.unread = self.unread.split(b"\n", 1)
        return line

    def _death(self) -> WorkerFailed:
        code = self.process.wait()
        tail = self.log.read_text(errors="replace").strip().splitlines()[-20:]
        last = next((line.strip() for line in reversed(tail) if line.strip()), "")
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        full = oom_kills() > self.kills or memory.says_full("\n".join(tail))
        return WorkerFailed("oom" if full else "crashed", f"worker {how}" + (f": {last[:300]}" if last else ""))

    def kill(self) -> None:
        """Ends the process and whatever it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with suppress(BrokenPipeError):  # a request that a dead worker never read is still in the buffer
            self.stdin.close()
        self.stdout.close()


def oom_kills() -> int:
    """How many processes this system's kernel has killed for memory since it started."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def thread_variables() -> dict[str, str]:
    """The same thread counts for every worker: one a usable processor, unless the user chose (rule 12)."""
    count = str(len(environment.usable_cpus()))
    return {name: os.environ.get(name, count) for name in THREAD_VARIABLES}


class Run:
    """One walk over the cells of a plan, appending to one journal."""

    def __init__(self, job: Job, journal: Path, watcher: Watcher) -> None:
        self.job, self.journal, self.watcher = job, journal, watcher
        self.logs = journal.parent / "logs"

    def weigh(self, cells: Sequence[Cell]) -> Iterator[Record]:
        """Weighs each cell; yields each record after it is on the disk."""
        barred = {cell.id: reason for cell in cells if (reason := self._why_not(cell))}
        made = self._prepare([cell for cell in cells if cell.id not in barred])
        for cell in cells:
            self.watcher.started(cell)
            begin, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
            if cell.id in barred:
                record = Record(cell=cell, status="skipped", reason=barred[cell.id])
            else:
                record = self._weigh(cell, made[cell.group])
            about = provenance(self.job.tasks[cell.task], cell.preset)
            wall_s = time.monotonic() - begin
            record = msgspec.structs.replace(record, started=started, wall_s=wall_s, about=about)
            store.append(self.journal, record)
            self.watcher.finished(record)
            yield record

    def _why_not(self, cell: Cell) -> str | None:
        """The reason to skip a cell: its backend's, or that its data cannot be had."""
        try:
            self.job.files(cell.task)
        except WeighbridgeError as error:
            return str(error)
        reference = self.job.backends[self.job.reference]
        return why_not(self.job.backends[cell.backend], cell) or not_installed(reference)

    def _weigh(self, cell: Cell, made: Artefacts | WorkerFailed) -> Record:
        weighing = Weighing(cell, self.job.tier, _not_open, self.watcher.phase)
        backend: Backend = self.job.backends[cell.backend]
        try:
            if isinstance(made, WorkerFailed):
                raise made
            with self._compile_cache() as cache:
                with self._worker(cell, backend.env(cell, cache)) as worker:
                    weighing.ask = worker.ask
                    self.watcher.phase("opening")
                    weighing.run(worker.ask(Open(cell=cell, artefacts=made, files=self.job.files(cell.task))))
                _book_hashes(weighing, made)
                if backend.compiles:
                    weighing.fields["warm_compile_s"] = self._warm_compile(cell, backend, cache, made)
        except WorkerFailed as failure:
            return weighing.record(status=failure.status, reason=failure.reason)
        except ParityError as failure:
            return weighing.record(status="parity_failed", reason=str(failure))
        return weighing.record(status="ok")

    def _prepare(self, cells: Sequence[Cell]) -> dict[str, Artefacts | WorkerFailed]:
        """Every group's artefacts, from the reference, before anything is timed.

        In a process of its own, since its peaks are nobody's; in one for all groups, since starting a framework
        takes seconds; in a new one after a failure, which is that group's and no other's.
        """
        groups = {cell.group: self._on_reference(cell) for cell in reversed(cells)}
        made: dict[str, Artefacts | WorkerFailed] = {}
        while left := [group for group in reversed(groups) if group not in made]:
            self._prepare_some({group: groups[group] for group in left}, made)
        return made

    def _on_reference(self, cell: Cell) -> Cell:
        return msgspec.structs.replace(cell, backend=self.job.reference, device="cpu")

    def _prepare_some(self, groups: dict[str, Cell], made: dict[str, Artefacts | WorkerFailed]) -> None:
        """Prepares groups in one process, in order, until the first failure."""
        reference: Backend = self.job.backends[self.job.reference]
        first = next(iter(groups.values()))
        with self._worker(first, reference.env(first, self.job.root / "compiled")) as worker:
            for group, cell in groups.items():
                self.watcher.started(cell)
                self.watcher.phase("preparing the reference")
                worker.deadline = time.monotonic() + self.job.time_limit_s
                request = Prepare(
                    cell=cell, root=self.job.root, files=self.job.files(cell.task), reference=self.job.reference
                )
                try:
                    made[group] = msgspec.convert(worker.ask(request), Artefacts, dec_hook=path_from)
                except WorkerFailed as failure:
                    made[group] = WorkerFailed(failure.status, f"preparing the reference: {failure.reason}")
                    worker.kept = True
                    return

    def _warm_compile(self, cell: Cell, backend: Backend, cache: Path, made: Artefacts) -> float:
        """Seconds of a first step in a new process that finds the first one's compiled programs."""
        self.watcher.phase("compiling from the cache")
        with self._worker(cell, backend.env(cell, cache)) as worker:
            worker.ask(Open(cell=cell, artefacts=made, files=self.job.files(cell.task)))
            return float(worker.ask(First())["first_s"])

    @contextmanager
    def _worker(self, cell: Cell, variables: Mapping[str, str]) -> Generator[Worker]:
        """A worker that is dead afterwards; its log stays where it failed."""
        log = self.logs / f"{cell.id}.log"
        deadline = time.monotonic() + self.job.time_limit_s
        worker = Worker({**thread_variables(), **variables}, log, deadline, self.watcher.progress)
        try:
            yield worker
        except (WorkerFailed, ParityError):
            worker.kept = True
            raise
        finally:
            worker.kill()
            if not worker.kept:
                log.unlink()
                with suppress(OSError):
                    self.logs.rmdir()

    @contextmanager
    def _compile_cache(self) -> Generator[Path]:
        """An empty folder: what is called cold must not find an earlier run's programs."""
        self.job.root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="compiled-", dir=self.job.root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def why_not(backend: Backend, cell: Cell) -> str | None:
    """The reason to skip a cell, judged in the parent."""
    return not_installed(backend) or backend.why_not(cell)


def not_installed(backend: Backend) -> str | None:
    """What a backend lacks, and what to type; None where it lacks nothing."""
    absent = environment.missing(backend.requires)
    if not absent:
        return None
    wanted = f"'weighbridge[{backend.extra}]'" if backend.extra else " ".join(absent)
    return f"{backend.name} needs {', '.join(absent)}; type: python -m pip install {wanted}"


def _book_hashes(weighing: Weighing, artefacts: Artefacts) -> None:
    hashes = {"weights_hash": artefacts.weights_hash, "batch_hash": artefacts.batch_hash}
    weighing.fields["facts"] = {**weighing.fields.get("facts", {}), **hashes}


def _not_open(request: Request) -> dict[str, Any]:
    raise RuntimeError(f"no worker is open for {request}")
