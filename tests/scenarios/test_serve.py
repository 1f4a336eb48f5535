"""The command `load` and its worker, on the fake backend and in real time: a generator is a process of its own."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bench.analysis import ratios
from bench.cli.main import app
from bench.core import Arrays, Cell, Examples, Session, WeighbridgeError
from bench.report.sections import serve as words
from bench.run import serve
from bench.scenarios.base import A, Request, answer_type
from bench.scenarios.serve import measure, pipe, server, stopping
from bench.scenarios.serve.answer import Service
from bench.scenarios.serve.audit import Audited
from bench.scenarios.serve.measure import Asked, Conversation, Effort
from bench.scenarios.serve.rate import Probe, Search
from bench.scenarios.serve.requests import Audit, Offline, Serve, Stage, Stream
from bench.scenarios.serve.result import Loaded, Rated, Serving, Streamed
from bench.scenarios.serve.server import Policy
from bench.storage import studies
from tests import nouns
from tests.conftest import make_cell
from tests.nouns import task

RUN = ["load", "--suite", "fake", "--batch-sizes", "8"]


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, [*RUN, *words])


def only(folder: Path) -> Loaded:
    (trial,) = studies.load(folder / "load.jsonl", Loaded)
    return trial


def served(trial: Loaded) -> Serving:
    assert trial.server is not None
    return trial.server


def test_a_thousand_requests_a_second_none_lost_and_the_generator_is_punctual(tmp_path: Path) -> None:
    """The 99th percentile of the generator's own error stays within a millisecond, in the best of three runs.

    The machine is shared: what others do to a run is no fault of the generator's.
    """
    errors: list[float] = []
    while len(errors) < 3 and min(errors, default=1.0) > 0.001:
        folder = tmp_path / str(len(errors))
        ended = invoke("--rate", "1000", "--scenarios", "server", "--out", str(folder))
        assert ended.exit_code == 0, ended.output
        (probe,) = served(only(folder)).search.probes
        assert served(only(folder)).lost == 0
        assert len(probe.latencies_s) + probe.rejected == probe.queries == 5000
        errors.append(probe.error_p99_s)
    assert min(errors) <= 0.001


def test_a_stall_of_200_ms_is_not_forgiven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same stall, in a closed loop: one query of many. Open loop: everybody who came meanwhile."""
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "stall")
    ended = invoke("--rate", "1000", "--scenarios", "server", "--bound-ms", "50", "--out", str(tmp_path / "open"))
    (probe,) = served(only(tmp_path / "open")).search.probes
    assert ended.exit_code == 0, ended.output
    assert not probe.passed
    assert (probe.p99_s or 0) > 0.1
    assert sum(latency > 0.05 for latency in probe.latencies_s) > 100
    closed = Asked(kinds=["single_stream"], effort=Effort(seconds=30.0, over=0))
    stream = the_stream(tmp_path, closed)
    assert max(stream.latencies_s) > 0.2
    assert sum(latency > 0.05 for latency in stream.latencies_s) == 1
    assert (stopping.plain(stream.latencies_s, 0.99) or 1) < 0.02


def the_stream(tmp_path: Path, asked: Asked) -> Streamed:
    from bench.core.effort import QUICK
    from bench.run import jobs
    from bench.run.plan import Filters
    from tests.conftest import Silent

    planned = jobs.prepare("fake", Filters(batch_sizes=[8]))
    job = jobs.job(planned, 60.0, QUICK)
    (trial,) = serve.weigh(job, tmp_path / "load.jsonl", Silent(), planned.cells, asked)
    assert trial.single_stream is not None
    return trial.single_stream


def test_a_failure_is_a_record_and_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "oom")
    ended = invoke("--scenarios", "offline", "--out", str(tmp_path))
    assert (ended.exit_code, only(tmp_path).status) == (1, "oom")
    assert "oom" in (tmp_path / "load.md").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--scenarios", "sever"], "did you mean 'server'?"),
        (["--backends", "torhc"], "did you mean 'torch'?"),
        (["--batch-sizes", "0"], "whole numbers"),
    ],
)
def test_a_wrong_request_is_one_line(words: list[str], told: str) -> None:
    ended = invoke(*words)
    assert isinstance(ended.exception, WeighbridgeError)
    assert told in str(ended.exception)


def test_resume_does_nothing_again(tmp_path: Path) -> None:
    quick = ["--rate", "500", "--scenarios", "offline", "--out", str(tmp_path)]
    assert invoke(*quick).exit_code == 0
    before = (tmp_path / "load.jsonl").read_bytes()
    assert isinstance(invoke(*quick).exception, WeighbridgeError)
    assert invoke(*quick, "--resume").exit_code == 0
    assert (tmp_path / "load.jsonl").read_bytes() == before
    another = ["load", "--suite", "fake", "--batch-sizes", "2", *quick, "--resume"]
    assert "--batch-sizes 2" in str(CliRunner().invoke(app, another).exception)


def test_a_torn_line_is_set_aside_and_takes_no_other_with_it(tmp_path: Path) -> None:
    two = ["load", "--suite", "fake", "--batch-sizes", "1,2", "--scenarios", "offline", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, two).exit_code == 0
    journal = tmp_path / "load.jsonl"
    first, second = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(first + second[: len(second) // 2])
    resumed = CliRunner().invoke(app, ["load", "--resume", "--out", str(tmp_path)])
    assert resumed.exit_code == 0
    assert "set aside" in resumed.stderr
    assert [trial.cell.batch_size for trial in studies.load(journal, Loaded)] == [1, 2]
    assert (tmp_path / "load.damaged").read_bytes() == second[: len(second) // 2] + b"\n"


def test_a_generator_that_dies_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe.child.sys, "executable", "/bin/true")
    with pipe.arriving(100.0, 10, 0) as (line, _), pytest.raises(WeighbridgeError, match="generator"):
        line.take(None)


class Asks:
    """A worker that holds up to a given rate."""

    def __init__(self, capacity: float) -> None:
        self.capacity, self.seen = capacity, list[object]()

    def __call__(self, request: Request[A]) -> A:
        self.seen.append(request)
        return msgspec.convert(self.told(request), answer_type(request))

    def told(self, request: Request[Any]) -> Any:
        match request:
            case Stage():
                return {"samples": 10, "sizes": [1, 2, 4, 8], "seconds": 0.1}
            case Stream():
                return [0.01] * request.fewest
            case Offline():
                return {"samples": 1000, "seconds": 10.0}
            case Serve():
                late = 0.5 if request.rate > self.capacity else 0.01
                return {
                    "queries": request.queries, "answered": request.queries, "rejected": 0, "abandoned": False,
                    "latencies_s": [late] * request.queries, "errors_s": [0.0], "batches": [1], "wall_s": 1.0,
                }  # fmt: skip
            case _:
                assert isinstance(request, Audit)
                return AUDITED


AUDITED = Audited(
    samples=1, error=0.0, tolerance=1e-4, decisions_equal=None, same_outputs=True, repeat_speedup=1.0, no_memory=True
)


def test_the_conversation_searches_below_the_offline_rate_and_confirms_longer() -> None:
    asks = Asks(capacity=60.0)
    asked = Asked(kinds=["offline", "server"], effort=Effort(seconds=1.0, over=2))
    found = Conversation(make_cell(), task("tabular-regression"), asked, asks, lambda name: None).hold()
    best = found["server"].search.best
    assert 57 <= best.rate <= 60
    served = [each for each in asks.seen if isinstance(each, Serve)]
    assert min(each.rate for each in served) >= 50
    assert served[-1].queries == 3 * served[0].queries == 3 * stopping.fewest_queries(2, 0.99)


FOOTING: dict[str, object] = {**dict.fromkeys(ratios.FOOTING, "same"), "threads": 2}


def trial(backend: str, rate: float, **changes: object) -> Loaded:
    found = measure.judged(
        msgspec.convert(Asks(1e9)(Serve(rate=rate, queries=900, policy=Policy(most=8, queue=9))), server.Served),
        rate, True, 0.1, 2,
    )  # fmt: skip
    serving = Serving(
        bound_s=0.1, percentile=0.99, policy=Policy(most=8, queue=9), sizes=[8], lost=0,
        search=Search(best=found, probes=[found]),
    )  # fmt: skip
    fields: dict[str, object] = {
        "cell": make_cell(backend), "status": "ok", "server": serving, "audit": AUDITED,
        "offline": Rated(samples=10, seconds=1.0), "facts": FOOTING,
        **changes,
    }  # fmt: skip
    return Loaded(**fields)  # type: ignore[arg-type]


def column(trials: list[Loaded], name: str) -> list[str]:
    return [row[words.HEADINGS.index(name)] for row in words.rows(trials, "torch")]


def test_rates_are_compared_only_on_equal_footing_and_where_both_passed_the_audit() -> None:
    torch, flax = trial("torch", 100.0), trial("flax", 125.0)
    failed = msgspec.structs.replace(AUDITED, same_outputs=False)
    other_threads = {**FOOTING, "threads": 1}
    assert column([torch, flax], "of the reference's") == ["", "1.25×"]
    assert column([torch, trial("flax", 125.0, audit=failed)], "of the reference's") == ["", ""]
    assert column([torch, trial("flax", 125.0, facts=other_threads)], "of the reference's") == ["", ""]
    assert column([torch, trial("flax", 9.0, audit=failed)], "audit")[1].startswith("FAILED")


def test_names_from_outside_stay_text() -> None:
    hostile = trial("<script>alert(1)</script>", 1.0, reason="a|b")
    text = words.markdown([hostile], "torch")
    assert "<script>" not in text
    assert "\\<script\\>" in text


def test_a_server_that_holds_nothing_says_what_it_tried() -> None:
    serving = msgspec.structs.replace(served(trial("torch", 7.0)), search=Search(best=None, probes=[probe_of(7.0)]))
    assert "no rate holds p99 within 100 ms; 7.00 queries/s does not" in column(
        [trial("torch", 7.0, server=serving)], "server"
    )


def probe_of(rate: float) -> Probe:
    best = served(trial("torch", rate)).search.best
    assert best is not None
    return best


def test_cells_are_found_by_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "load.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(trial("torch", rate)) + b"\n" for rate in (1.0, 2.0)))
    (last,) = studies.load(path, Loaded)
    assert isinstance(last.cell, Cell)
    assert probe_of(2.0).rate == (served(last).search.best or probe_of(0.1)).rate


class Summing(Session):
    """Adds up each row; with `wrong`, otherwise where a batch is not full. Each step takes a millisecond of its own."""

    def __init__(self, wrong: bool = False, remembers: bool = False) -> None:
        self.wrong, self.remembers, self.now_s = wrong, remembers, 0.0

    def put(self, batch: Arrays) -> np.ndarray:
        return batch["features"]

    def step(self, x: np.ndarray) -> np.ndarray:
        known = self.remembers and bool((x == x[0]).all())
        self.now_s += 0.0005 if known else 0.001
        return x.sum(1) * (1.01 if self.wrong and len(x) < 4 else 1)

    def sync(self, y: np.ndarray) -> None: ...

    def get(self, y: np.ndarray) -> Arrays:
        return {"prediction": y}

    def clock(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("changes", "same", "forgets"),
    [({}, True, True), ({"wrong": True}, False, True), ({"remembers": True}, True, False)],
)
def test_a_service_that_answers_otherwise_under_load_or_remembers_fails_its_audit(
    changes: dict[str, bool], same: bool, forgets: bool
) -> None:
    features = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    examples = Examples(inputs={"features": features}, targets={})
    service = Service(
        make_cell(batch_size=4), nouns.backend("fake"), task("tabular-regression"), Summing(**changes), examples
    )
    for request in (Stage(most=4), Stream(samples=1, fewest=50, seconds=0.01), Offline(seconds=0.1)):
        service.reply(request)
    found = service.reply(Audit())
    assert isinstance(found, Audited)
    assert (found.same_outputs, found.no_memory) == (same, forgets)
    assert found.samples > 30


@pytest.mark.parametrize(("program_a_shape", "sizes"), [(True, [4, 4]), (False, [3, 4])])
def test_a_batch_is_padded_only_where_a_shape_is_a_program(
    program_a_shape: bool, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = nouns.backend("fake")
    monkeypatch.setattr(type(backend), "compiles", True)
    monkeypatch.setattr(type(backend), "program_a_shape", program_a_shape)
    examples = Examples(inputs={"features": np.zeros((8, 5), np.float32)}, targets={})
    service = Service(make_cell(batch_size=4), backend, task("tabular-regression"), Summing(), examples)
    assert [service.size(count) for count in (3, 4)] == sizes
