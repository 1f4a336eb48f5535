"""A model into a folder and out again: the reference prepares, a child writes, a fresh one opens and is judged."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from weighbridge.bench.core.backend import Written
from weighbridge.bench.core.card import BackendCard, TaskCard
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.errors import WeighbridgeError, unknown
from weighbridge.bench.core.record import provenance
from weighbridge.bench.run import cards, jobs
from weighbridge.bench.run.exporter import Export, Prove, Proven, Reopen, Reopened, Write
from weighbridge.bench.run.jobs import Job, Planned
from weighbridge.bench.run.plan import Filters
from weighbridge.bench.run.process import Worker, WorkerFailed, living
from weighbridge.bench.run.registry import BACKENDS
from weighbridge.bench.run.runner import Run
from weighbridge.bench.run.watcher import Watcher
from weighbridge.bench.scenarios.steps.requests import Close, Score
from weighbridge.bench.storage import exports, packages
from weighbridge.bench.storage.exports import DataVersion, ModelCard, Proof
from weighbridge.bench.storage.prepared import Prepared, compile_cache

SUITE = "full"
"""Whose reference all are proven against."""
WAY = "infer"


class ExportFailedError(WeighbridgeError):
    """An export that could not be written, or not be opened again."""

    code = 1


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be exported, and to which format."""

    planned: Planned
    cell: Cell
    form: str
    time_limit_s: float


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What a fresh process found of an export."""

    reopened: Reopened
    proven: list[Proven]
    score: dict[str, float | None]

    @property
    def proofs(self) -> list[Proof]:
        """Return one a number of rows."""
        return [each.proof for each in self.proven]


def formats() -> dict[str, list[BackendCard]]:
    """Every format and who offers it, the reference first."""
    able = [each for each in cards.backends().values() if not each.hidden]
    ordered = sorted(able, key=lambda card: not card.reference)
    names = sorted({name for card in ordered for name in card.formats})
    return {name: [card for card in ordered if name in card.formats] for name in names}


def offering(form: str, backend: str = "") -> BackendCard:
    """The first that is installed of those that export to a format, or the backend of this name.

    Raises WeighbridgeError where it does not, or cannot.
    """
    known = formats()
    if form not in known:
        raise unknown("format", form, known)
    first = next((card for card in known[form] if not cards.not_installed(card)), known[form][0])
    chosen = cards.backend(backend) if backend else first
    if form not in chosen.formats:
        able = ", ".join(card.name for card in known[form])
        raise WeighbridgeError(f"{chosen.name} does not export to {form}; choose --backend from {able}")
    if problem := cards.not_installed(chosen):
        raise WeighbridgeError(problem)
    return chosen


def asked(
    task: str, form: str, *, backend: str, preset: str, precision: str, weights: str, time_limit_s: float
) -> Asked:
    """What names stand for; raises WeighbridgeError where one is not there, or the backend cannot."""
    (backend,) = cards.named([backend], BACKENDS)[:1] if backend else ("",)
    known, chosen = cards.task(task), offering(form, backend)
    if preset not in known.models:
        raise unknown(f"preset of {task}", preset, known.models)
    chosen_of = Filters(
        tasks=[task], backends=[chosen.name], scenarios=[WAY], precisions=[precision], presets=[preset], device="cpu"
    )
    planned = jobs.weighing(jobs.prepare(SUITE, chosen_of), weights)
    cell = next(cell for cell in planned.cells if cell.backend == chosen.name)
    if problem := cards.why_not(chosen, cell):
        raise WeighbridgeError(problem)
    return Asked(planned=planned, cell=cell, form=form, time_limit_s=time_limit_s)


class Exporting:
    """The processes of one export, and the folder that they share."""

    def __init__(self, asked: Asked, folder: Path, watcher: Watcher) -> None:
        self.asked, self.cell, self.folder, self.watcher = asked, asked.cell, folder.resolve(), watcher
        self.job: Job = jobs.job(asked.planned, asked.time_limit_s)
        self.logs = self.job.root / "exports"
        self.task: TaskCard = self.job.task(self.cell)

    def export(self) -> ModelCard:
        """Write into the folder, and prove what lies there; the card says whether it holds."""
        made = self.prepared()
        self.watcher.started(self.cell)
        self.watcher.phase(f"exporting to {self.asked.form}")
        with self.child() as worker:
            written = worker.ask(Write(export=self.described(made)))
        files = exports.versions_of(self.folder)
        return self.card(made, written, self.tried(made), files)

    def described(self, made: Prepared) -> Export:
        """What both processes are told."""
        return Export(
            cell=self.cell,
            task=self.task.module,
            backend=self.job.backend(self.cell).module,
            prepared=made,
            files=self.job.files(self.cell.task),
            form=self.asked.form,
            folder=self.folder,
        )

    def prepared(self) -> Prepared:
        """What the reference left for this cell, made now where it is not there."""
        walk = Run(self.job, self.logs / "none.jsonl", self.watcher)
        if problem := walk.why_not(self.cell):
            raise WeighbridgeError(problem)
        found = walk.prepare([self.cell])[self.cell.group]
        if isinstance(found, WorkerFailed):
            raise ExportFailedError(found.reason) from found
        return found

    @contextmanager
    def child(self) -> Generator[Worker]:
        """A fresh process, which finds nothing that another has compiled or kept."""
        with compile_cache(self.job.root) as cache:
            try:
                variables = self.job.variables(self.cell, cache)
                log = self.logs / f"{self.cell.id}.log"
                worker = Worker(
                    variables,
                    log,
                    self.asked.time_limit_s,
                    self.watcher.progress,
                    module="weighbridge.bench.run.exporter",
                )
                with living(worker):
                    yield worker
            except WorkerFailed as failure:
                raise ExportFailedError(f"{self.asked.form} by {self.cell.backend}: {failure.reason}") from failure

    def tried(self, made: Prepared, thorough: bool = True) -> Tried:
        """What a fresh process finds: parity at several numbers of rows, and the score where it is `thorough`."""
        self.watcher.started(self.cell)
        self.watcher.phase("opening in a fresh process")
        with self.child() as worker:
            reopened = worker.ask(Reopen(export=self.described(made)))
            self.watcher.phase("checking")
            proven = [worker.ask(Prove(rows=rows)) for rows in numbers_of_rows(self.cell.batch_size)]
            score: dict[str, float | None] = {}
            if thorough:
                self.watcher.phase("scoring")
                score = worker.ask(Score()).score
            worker.ask(Close())
        return Tried(reopened=reopened, proven=proven, score=score)

    def card(self, made: Prepared, written: Written, tried: Tried, files: dict[str, exports.FileVersion]) -> ModelCard:
        """What is known of the export."""
        task, cell, about = self.task, self.cell, provenance(self.task, self.cell)
        return ModelCard(
            task=task.name,
            family=task.family,
            task_version=task.version,
            preset=cell.preset,
            source=task.source,
            licence=task.licence,
            data=data_versions(task.packages),
            model=task.models[cell.preset],
            weights=about.weights,
            weights_hash=made.weights_hash,
            format=self.asked.form,
            backend=cell.backend,
            cell=cell,
            generates="generate" in task.scenarios,
            inputs=tried.reopened.inputs,
            outputs=tried.proven[0].outputs,
            item=task.item,
            score=tried.score,
            target=task.target,
            baseline=task.baseline,
            proofs=tried.proofs,
            loading=written.loading,
            note=written.note,
            versions=tried.reopened.versions,
            exported=datetime.now(UTC).isoformat(timespec="seconds"),
            files=files,
        )


def numbers_of_rows(batch_size: int) -> list[int]:
    """How many rows at a time an export is proven at: as it is scored, one row fewer, and one."""
    return list(dict.fromkeys((batch_size, batch_size - 1 if batch_size > 1 else 2, 1)))


def data_versions(names: Iterable[str]) -> list[DataVersion]:
    """The pins of data packages."""
    pins = [packages.package(name) for name in names]
    return [
        DataVersion(name=pin.name, version=pin.version, sha256=pin.sha256, licence=pin.licence, source=pin.source)
        for pin in pins
    ]


def check(
    folder: Path, *, backend: str, weights: str, time_limit_s: float, watcher: Watcher
) -> tuple[ModelCard, Tried]:
    """Prove an exported folder again, by this machine's own task and reference, by another backend where one is named.

    Raises WeighbridgeError where a file is not what the card says, or the card is of what is not here.
    """
    card = exports.read(folder)
    exports.verify(folder, card)
    wanted = asked(
        card.task, card.format, backend=backend or card.backend, preset=card.preset, precision=card.cell.precision,
        weights=weights, time_limit_s=time_limit_s,
    )  # fmt: skip
    task = cards.task(card.task)
    if (card.task_version, card.model) != (task.version, task.models[card.preset]):
        raise WeighbridgeError(f"{folder} is of another version of {card.task} than is installed; export anew")
    if card.cell.weights != wanted.cell.weights:
        whose = "a file's: name it with --weights" if card.cell.weights else "the task's own: leave out --weights"
        raise WeighbridgeError(f"the weights of {folder} are {whose}")
    exporting = Exporting(wanted, folder, watcher)
    made = exporting.prepared()
    if card.weights_hash != made.weights_hash:
        raise WeighbridgeError(f"{folder} holds other weights than {card.task} has here; export anew")
    return card, exporting.tried(made, thorough=False)
