"""Groups of real workers: `fake`, whose clock is its own, and `null`, which spins."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.conftest import make_cell, workers_of
from weighbridge.backends.fake import STEP_S
from weighbridge.bench.analysis import ratios
from weighbridge.bench.core import Cell
from weighbridge.bench.core.cell import Status
from weighbridge.bench.core.effort import QUICK, STANDARD, STRICT, Effort
from weighbridge.bench.core.record import Peaks, Record
from weighbridge.bench.measure import noise
from weighbridge.bench.measure.allocator import KEPT
from weighbridge.bench.measure.pace import Pace
from weighbridge.bench.run import cards, group, jobs
from weighbridge.bench.run.group import COPIES, FRAMEWORK_BYTES, Group
from weighbridge.bench.run.jobs import Job, Planned
from weighbridge.bench.run.member import Member
from weighbridge.bench.run.plan import Filters
from weighbridge.bench.run.process import Worker
from weighbridge.bench.run.runner import Run
from weighbridge.bench.storage.prepared import Prepared


def brief(effort: Effort) -> Effort:
    """As it is, but with short blocks, and as few turns as it takes."""
    return msgspec.structs.replace(effort, block_s=0.02, bound=1e9, warm_cap_s=0.05, patience_s=0.0)


class Watcher:
    """Hears what a run does; `hook` is called at every phase."""

    def __init__(self, hook: Callable[[str], None] = lambda name: None) -> None:
        self.hook = hook
        self.name = ""
        self.order: list[str] = []

    def started(self, cell: Cell) -> None:
        self.order.append(cell.backend)

    def prepared(self, cell: Cell, took_s: float) -> None: ...

    def phase(self, name: str) -> None:
        self.name = name
        self.hook(name)

    def progress(self, fraction: float) -> None:
        pass

    def finished(self, record: Record) -> None:
        pass


@pytest.fixture(scope="module")
def planned() -> Planned:
    return jobs.prepare("fake", Filters(backends=["fake", "null"], batch_sizes=[4]))


def job_of(planned: Planned, effort: Effort, **changes: object) -> Job:
    return msgspec.structs.replace(jobs.job(planned, 60.0, brief(effort)), **changes)


def well(records: dict[str, Record], *statuses: Status) -> None:
    """Fails with the reasons, not the records."""
    found = {name: (record.status, record.reason) for name, record in records.items()}
    assert [found[name][0] for name in ("fake", "null")] == list(statuses), found


def weigh(
    planned: Planned, folder: Path, effort: Effort = QUICK, watcher: Watcher | None = None, **changes: object
) -> dict[str, Record]:
    """Backend -> record; no worker may be left when a run is over."""
    run = Run(job_of(planned, effort, **changes), folder / "records.jsonl", watcher or Watcher())
    records = list(run.weigh(planned.cells))
    assert not workers_of(psutil.Process())
    assert [record.cell for record in records].count(records[0].cell) == 1
    return {record.cell.backend: record for record in records}


def turns(record: Record) -> list[int]:
    """Of each process."""
    return [len(process) for process in record.blocks]


@pytest.mark.parametrize("effort", [QUICK, STANDARD, STRICT], ids=lambda effort: effort.name)
def test_a_group_takes_turns_in_as_many_processes_as_its_tier_has(
    planned: Planned, tmp_path: Path, effort: Effort
) -> None:
    begin = time.monotonic()
    records = weigh(planned, tmp_path, effort)
    elapsed = time.monotonic() - begin
    well(records, "ok", "ok")
    for record in records.values():
        assert (record.pairing, record.stopped_by, record.settled, record.tier) == (
            "interleaved",
            "converged",
            True,
            effort.name,
        )
        assert turns(record) == [effort.fewest_turns] * effort.processes
        assert sum(map(sum, record.blocks)) == len(record.step_s)
        assert record.noise
        assert record.facts["weights_hash"] == records["fake"].facts["weights_hash"] != ""
        assert record.facts["batch_hash"] == records["fake"].facts["batch_hash"] != ""
    assert sum(record.wall_s for record in records.values()) <= elapsed
    assert not (tmp_path / "logs").exists()


def test_only_one_worker_of_a_group_is_ever_awake(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever one is woken, after all have been opened, the others stand still."""
    watcher, awake, stirring = Watcher(), Worker.awake, list[str]()
    seen: list[str] = []

    def asleep(process: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess):
            return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
        return True

    @contextmanager
    def watched(worker: Worker) -> Iterator[None]:
        others = [each for each in workers_of(psutil.Process()) if each.pid != worker.process.pid]
        if watcher.name != "opening" and others:
            seen.append(watcher.name)
            until = time.monotonic() + 2.0  # a stop takes effect when the kernel next looks at the process
            while not all(map(asleep, others)) and time.monotonic() < until:
                time.sleep(0.001)
            stirring.extend(watcher.name for other in others if not asleep(other))
        with awake(worker):
            yield

    monkeypatch.setattr(Worker, "awake", watched)
    weigh(planned, tmp_path, watcher=watcher)
    assert sum(name.startswith("taking turns") for name in seen) >= 2 * QUICK.fewest_turns
    assert not stirring


def test_the_order_of_turns_is_drawn_by_the_group(planned: Planned, tmp_path: Path) -> None:
    def drawn() -> list[float]:
        cells = [make_cell(batch_size=size) for size in range(1, 6)]
        job = job_of(planned, QUICK)
        return [Group(job, [cell], _made(tmp_path), Watcher(), tmp_path).rng.random() for cell in cells]

    assert len(set(drawn())) == 5
    assert drawn() == drawn()


def _made(folder: Path, size: int = 0) -> Prepared:
    weights = folder / "weights"
    weights.write_bytes(bytes(size))
    return Prepared(weights=weights, weights_hash="w", folder=folder, batch_hash="b")


@pytest.mark.parametrize(("fault", "status"), [("raise", "crashed"), ("kill", "crashed"), ("oom", "oom")])
def test_one_that_fails_leaves_a_record_and_the_other_is_measured(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, status: Status
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", fault)
    records = weigh(planned, tmp_path)
    well(records, status, "ok")
    assert records["fake"].step_s == []
    assert turns(records["null"]) == [QUICK.fewest_turns] * QUICK.processes
    assert (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("remember", "it remembers: one batch over and over is "),
        ("remember all", "it remembers: one batch over and over is "),
        ("early", "it returns early: "),
        ("wrong later", "what was timed is not what was checked: "),
    ],
)
def test_one_that_cheats_is_named_and_the_other_is_measured(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, reason: str
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", fault)
    records = weigh(planned, tmp_path)
    well(records, "implausible", "ok")
    assert records["fake"].reason.startswith(reason)


def test_a_step_beyond_the_roof_is_implausible(planned: Planned, tmp_path: Path) -> None:
    """`null` takes a tenth of the time of `fake`, on a machine that reached no more than `fake` does."""
    cost = weigh(planned, tmp_path)["fake"].cost
    assert cost
    most = {"fp32": cost.flops / STEP_S}
    peaks = Peaks(machine="m", device="cpu", bytes_per_s=1e12, flops_per_s=most, measured="", by="fake")
    records = weigh(planned, tmp_path, peaks={"cpu": peaks})
    well(records, "ok", "implausible")
    assert records["null"].reason.startswith("faster than can be: ")


def test_one_that_does_not_say_how_many_threads_it_has_gets_no_ratio(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "threadless")
    rows = {row.record.cell.backend: row for row in ratios.rows(weigh(planned, tmp_path).values(), "fake")}
    assert (rows["null"].ratio, rows["null"].verdict) == (None, None)
    assert rows["null"].no_ratio == "threads 1 against (not stated)"


@pytest.mark.parametrize("name", ["keep", "stock"])
def test_all_workers_of_a_run_have_the_same_allocator_and_say_which(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for variable in KEPT:
        monkeypatch.delenv(variable, raising=False)
    records = weigh(planned, tmp_path, allocator=name)
    said = {record.facts["host_allocator"] for record in records.values()}
    assert len(said) == 1
    assert said.pop().endswith("pages kept" if name == "keep" else "as it comes")
    assert all(len(faults) == QUICK.fewest_turns for faults in records["fake"].minor_faults)


def test_a_record_tells_who_could_have_been_weighed(planned: Planned, tmp_path: Path) -> None:
    records = weigh(planned, tmp_path, visible=[cards.backend("fake"), cards.backend("null")])
    assert all(record.about and record.about.contenders == ["fake", "null"] for record in records.values())


def test_one_that_dies_in_the_middle_of_the_turns_keeps_what_it_had(planned: Planned, tmp_path: Path) -> None:
    def kill_one(name: str) -> None:
        if name == "taking turns, process 2 of 5, turn 3":
            victim = min(workers_of(psutil.Process()), key=lambda child: child.pid)  # opened first: the reference's
            os.kill(victim.pid, signal.SIGKILL)

    records = weigh(planned, tmp_path, STANDARD, Watcher(kill_one))
    well(records, "crashed", "ok")
    assert "killed by SIGKILL" in records["fake"].reason
    assert turns(records["fake"]) == [3, 2]
    assert turns(records["null"]) == [3] * 5


def test_all_of_a_group_may_die_and_the_run_ends(planned: Planned, tmp_path: Path) -> None:
    def kill_all(name: str) -> None:
        if name == "taking turns, process 1 of 5, turn 2":
            for child in workers_of(psutil.Process()):
                os.kill(child.pid, signal.SIGKILL)

    records = weigh(planned, tmp_path, STANDARD, Watcher(kill_all))
    assert [record.status for record in records.values()] == ["crashed", "crashed"]
    assert [turns(record) for record in records.values()] == [[1], [1]]


def test_an_interrupt_leaves_no_process(planned: Planned, tmp_path: Path) -> None:
    def interrupt(name: str) -> None:
        if name == "taking turns, process 1 of 3, turn 2":
            assert len(workers_of(psutil.Process())) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weigh(planned, tmp_path, watcher=Watcher(interrupt))
    assert not workers_of(psutil.Process())


def test_what_does_not_fit_together_is_weighed_one_by_one(planned: Planned, tmp_path: Path) -> None:
    most: list[int] = []
    watcher = Watcher(lambda name: most.append(len(workers_of(psutil.Process()))))
    records = weigh(planned, tmp_path, watcher=watcher, free_bytes=lambda: 0)
    assert [(record.status, record.pairing) for record in records.values()] == [("ok", "sequential")] * 2
    assert max(most) == 1
    assert len(turns(records["fake"])) == QUICK.processes
    assert min(turns(records["fake"])) >= QUICK.fewest_turns


@pytest.mark.parametrize(
    ("free", "sizes"), [(0, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (2.9, [2, 2, 1]), (5, [5]), (99, [5])]
)
def test_rounds_hold_what_memory_has_room_for_and_begin_with_the_reference(
    planned: Planned, tmp_path: Path, free: float, sizes: list[int]
) -> None:
    weights = 1000
    need = FRAMEWORK_BYTES + COPIES * weights
    cells = [make_cell(name) for name in ("a", "b", "fake", "c", "d")]
    job = job_of(planned, QUICK, free_bytes=lambda: int(free * need))
    rounds = Group(job, cells, _made(tmp_path, weights), Watcher(), tmp_path).rounds()
    assert [len(cells) for cells in rounds] == sizes
    assert [cell.backend for cells in rounds for cell in cells] == ["fake", "a", "b", "c", "d"]


def test_one_that_ran_out_of_memory_in_company_is_tried_alone(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault ends as soon as the other's record is there: alone there is room."""
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "oom")
    run = Run(job_of(planned, QUICK), tmp_path / "records.jsonl", Watcher())
    records: list[Record] = []
    for record in run.weigh(planned.cells):
        records.append(record)
        monkeypatch.delenv("WEIGHBRIDGE_FAKE_FAULT", raising=False)
    assert [(record.cell.backend, record.status) for record in records] == [("null", "ok"), ("fake", "ok")]
    assert records[1].pairing == "sequential"
    assert len(turns(records[1])) == QUICK.processes


def test_one_that_runs_out_of_memory_alone_too_is_an_oom(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "oom")
    watcher = Watcher()
    records = weigh(planned, tmp_path, watcher=watcher)
    assert records["fake"].status == "oom"
    assert watcher.order[-1] == "fake"


@pytest.mark.parametrize(("shared", "crowded"), [(1.6, True), (1.1, False)])
def test_blocks_that_somebody_outside_slowed_are_kept_and_marked(
    shared: float, crowded: bool, planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone until the first process of all has been timed, and never again."""
    readings: list[float] = []

    def timed(cpu: int) -> float:
        readings.append(1.0 if len(readings) < 4 * QUICK.fewest_turns else shared)
        return readings[-1]

    monkeypatch.setattr(group, "of_this_machine", lambda: Pace([0], timed))
    records = weigh(planned, tmp_path)
    for record in records.values():
        first, *later = record.crowded
        assert not any(first)
        assert all(all(process) is crowded for process in later)
        assert max(record.slowdown) == shared
        assert len(record.slowdown) == sum(map(len, record.blocks))


def test_the_time_limit_is_of_a_cell_and_all_its_processes(planned: Planned, tmp_path: Path) -> None:
    member = Member(planned.cells[0], job_of(planned, QUICK, time_limit_s=5.0), Watcher(), Pace([]))
    for _ in range(2):
        member.worker = Worker({}, tmp_path / "log", member.left_s, lambda fraction: None)
        before = member.left_s
        member.attempt(lambda: setattr(member.worker, "left_s", member.worker.left_s - 1.0))
        member.worker.kill()
        assert member.left_s == before - 1.0


def test_a_compiling_backend_that_cannot_be_opened_says_so_once(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(planned, QUICK)
    made = Run(job, tmp_path / "records.jsonl", Watcher()).prepare(planned.cells)[planned.cells[0].group]
    assert isinstance(made, Prepared)
    cell = msgspec.structs.replace(planned.cells[1], backend="null")
    broken = msgspec.structs.replace(made, weights=tmp_path / "nothing", folder=made.folder)
    (tmp_path / "nothing").write_bytes(b"")
    compiling = msgspec.structs.replace(cards.backend("null"), compiles=True)
    job = job_of(planned, QUICK, backends={**job.backends, "null": compiling})
    (record,) = Group(job, [cell], broken, Watcher(), tmp_path / "logs").weigh()
    assert record.status == "crashed"
    assert "a second time" not in record.reason


def test_the_calibration_goes_into_every_record(planned: Planned, tmp_path: Path) -> None:
    kinds = {
        str(cell): noise.Kind(cell=cell, measured="then", floor=0.034, false_verdicts=0.0, cpus_elsewhere=99.0)
        for cell in planned.cells
    }
    calibration = noise.Calibration(**noise.identity(), tier="quick", kinds=kinds)  # type: ignore[arg-type]
    for record in weigh(planned, tmp_path, calibration=calibration).values():
        assert record.noise
        assert (record.noise.floor, record.noise.calibrated, record.noise.warnings) == (0.034, "then", [])
        assert record.noise.cpus_elsewhere is not None
