"""The experiments' own parts, on made-up figures and small real ones."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.conftest import make_cell
from tests.experiments import allocator, look, methods, others
from tests.experiments.methods import Timed
from weighbridge.bench.cli.benchmarks import Quiet
from weighbridge.bench.core.effort import QUICK
from weighbridge.bench.measure.statistics import Interval
from weighbridge.bench.run import jobs
from weighbridge.bench.run.calibrate import Pair
from weighbridge.bench.run.process import WorkerFailed
from weighbridge.bench.run.runner import Run
from weighbridge.bench.storage import journals

SLEEP = "import time\ndef step():\n    time.sleep(0.01)\n"


@pytest.mark.alone
@pytest.mark.parametrize("way", [others.plain_loop, others.pytest_benchmark])
def test_others_time_the_step_that_they_are_given(way: others.Way) -> None:
    found = way(SLEEP, {})
    assert len(found) > 20
    assert 0.01 <= min(found) < 0.02


def test_the_environment_reaches_the_fresh_process() -> None:
    code = "import os\nassert os.environ['ASKED'] == 'yes'\nassert os.environ['OMP_NUM_THREADS']\ndef step(): pass\n"
    assert others.plain_loop(code, {"ASKED": "yes"}, seconds=0.01)


def test_steps_that_count_as_independent_are_read_as_a_verdict() -> None:
    timed = Timed(method="bare loop", reference_s=[0.02, 0.021] * 20, other_s=[0.01, 0.0101] * 20)
    assert timed.seen().verdict == "FASTER"
    assert timed.seen().ratio.value == pytest.approx(2, rel=0.05)
    same = msgspec.structs.replace(timed, other_s=timed.reference_s)
    assert same.seen().verdict == "UNSURE"


def test_every_method_has_a_row_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "methods.jsonl"
    for factor in (0.5, 2.0):
        steps = [0.01 * factor, 0.0101 * factor] * 20
        journals.append(out, Timed(method="bare loop", reference_s=[0.01, 0.0101] * 20, other_s=steps))
    benchmark, loop = methods.rows(methods.read(out), None)
    assert benchmark[:2] == ["pytest-benchmark", "0"]
    assert loop[:7] == ["bare loop", "2", "1", "1", "0", "0", "1"]


def test_a_session_is_opened_from_texts(tmp_path: Path) -> None:
    cell = make_cell("fake")
    planned = jobs.Planned(cells=[cell], reference="fake")
    (made,) = Run(jobs.job(planned, 60.0, QUICK), tmp_path / "r.jsonl", Quiet()).prepare([cell]).values()
    assert not isinstance(made, WorkerFailed)
    methods.opened(msgspec.json.encode(cell).decode(), msgspec.json.encode(made, enc_hook=str).decode())()


def test_the_allocators_row_tells_steps_ratio_and_faults_of_both() -> None:
    pairs = [
        Pair(
            cell=make_cell(), ratio=Interval(1.2, 1.1, 1.3), ratios=[[1.2, 1.2]] * 5, steps=(0.012, 0.01),
            floor=0.02, cpus_elsewhere=0.0, minor_faults=(15_000.0, faults),
        )
        for faults in (2.0, 4.0)
    ]  # fmt: skip
    found = allocator.row(pairs)
    assert found[:4] == ["tabular-regression", "infer fp32 b8", "12.0 ms", "10.0 ms"]
    assert found[4:] == ["1.200× [1.200, 1.200]", "15,000", "3.00"]
    assert len(found) == len(allocator.headings("keep"))
    assert allocator.row([msgspec.structs.replace(pairs[0], minor_faults=(float("nan"),) * 2)])[-1] == "not counted"


@pytest.mark.parametrize("words", [[], ["--apart"]])
def test_a_look_tells_of_each_cell_and_of_what_is_done(
    words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert look.main(["--suite", "fake", "--batch-sizes", "1,2", *words, "--out", str(tmp_path)]) == 0
    printed = capfd.readouterr()
    told = [msgspec.json.decode(line) for line in printed.out.splitlines()]
    assert [each["status"] for each in told] == ["ok", "ok"]
    assert all(each["parity"]["passed"] and each["step_s"] > 0 for each in told)
    assert "tabular-regression infer fp32 fake: checking" in printed.err


def test_a_look_ends_with_an_exit_code_where_a_cell_failed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "early")
    assert look.main(["--suite", "fake", "--batch-sizes", "1", "--out", str(tmp_path)]) == 1
    assert msgspec.json.decode(capfd.readouterr().out)["status"] == "implausible"
