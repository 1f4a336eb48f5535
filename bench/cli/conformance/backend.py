"""What every backend must hold. A third party subclasses `BackendConformance`, or names its backend on a command line.

Shapes: B rows, O outputs.
"""

from __future__ import annotations

import gc
import json
import math
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import permutations
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from weighbridge.bench.cli.conformance import doubling
from weighbridge.bench.cli.conformance.announced import Conformance
from weighbridge.bench.cli.conformance.subject import Case, Subject, backend_subject, is_typed, outputs_of, perceptron
from weighbridge.bench.core import child
from weighbridge.bench.core.arrays import Arrays
from weighbridge.bench.core.backend import Session
from weighbridge.bench.measure import clock, memory, parity, suspicion
from weighbridge.bench.run.leftovers import Request
from weighbridge.bench.run.protocol import encoder

STEPS, STEPS_BEFORE = 40, 8
KEPT = 0.25
"""A share of what so many steps give: more than an allocator keeps for later, less than a backend that keeps all."""
LIMIT_S = 300.0
"""For a process that opens a backend twice."""
FOOTING = ("threads", "precision", "scope", "ran_on")


class BackendConformance(Conformance):
    """The tests of a backend, which each open sessions of their own."""

    backend: ClassVar[str] = ""
    """Its name, installed by an entry point of `weighbridge.backends`, or a Python file; else `--backend` names it."""
    reference: ClassVar[str] = ""
    """What it is held to: the reference of suite quick where none is named."""
    cases: ClassVar[tuple[Case, ...]] = (perceptron(5, [7, 6], 3, rows=64), perceptron(5, [7], 1, rows=1))
    """Models that it can open. The first is the one that most tests take."""
    heavy: ClassVar[Case] = perceptron(64, [512, 512], 3, rows=256, activation="relu")
    """One whose steps take long, and whose outputs are small: twice the rows are twice the work."""
    large: ClassVar[Case] = perceptron(4, [4], 2**14, rows=64, activation="relu")
    """One whose outputs are some MiB, far more than what an allocator leaves lying about."""

    @pytest.fixture(scope="class")
    @classmethod
    def opened_subject(
        cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Subject]:
        name = cls.backend or str(request.config.getoption("weighbridge_backend", ""))
        folder = tmp_path_factory.mktemp("conformance")
        subject = backend_subject(name, cls.reference, folder)
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in subject.backend.env(subject.asked(), folder).items():
                patch.setenv(variable, value)
            yield subject

    @pytest.fixture
    def subject(self, opened_subject: Subject) -> Iterator[Subject]:
        """The backend under test; what a test opens is closed after it."""
        yield opened_subject
        opened_subject.close()

    @property
    def case(self) -> Case:
        """The model that most tests take."""
        return self.cases[0]

    def test_outputs_are_the_references(self, subject: Subject) -> None:
        """By the rule of docs/design/002: no further from the float64 oracle than twice the reference's own float32."""
        for case in self.cases:
            oracle, reference = (subject.references(case, precision) for precision in ("fp64", "fp32"))
            found = outputs_of(subject.open(case.model), case.batch(case.rows, 0))
            if any(name not in found or found[name].shape != array.shape for name, array in oracle.items()):
                continue  # told by the next test
            judged = parity.judge(found, reference, oracle, "", "fp32")
            assert judged.passed, f"not the reference's outputs{swapped(found, oracle)}: {judged}"

    def test_outputs_have_the_references_names_shapes_and_dtypes(self, subject: Subject) -> None:
        """Floats come back as float32 at every precision, integers as integers; the layout is the reference's."""
        for case in self.cases:
            expected = subject.references(case, "fp32")
            for precision in sorted(set(subject.backend.precisions) - {"tf32"}):
                if subject.backend.why_not(subject.asked(precision=precision, device=subject.cell().device)):
                    continue
                found = outputs_of(subject.open(case.model, precision=precision), case.batch(case.rows, 0))
                assert described(found) == described(expected), f"at {precision}"

    def test_other_precisions_are_near(self, subject: Subject) -> None:
        """Within what the suite allows of timed outputs at each precision."""
        for precision in sorted(set(subject.backend.precisions) - {"fp32"}):
            if subject.backend.why_not(subject.asked(precision=precision, device=subject.cell().device)):
                continue
            found = outputs_of(subject.open(self.case.model, precision=precision), self.case.batch(self.case.rows, 0))
            wrong = parity.error(found, subject.references(self.case, "fp64"))
            assert wrong <= parity.TOLERANCE[precision], f"relative error {wrong:.2g} at {precision}"

    def test_equal_batches_give_equal_bytes(self, subject: Subject) -> None:
        """And a batch is left as it was."""
        session, batch = subject.open(self.case.model), self.case.batch(self.case.rows, 0)
        first, second = outputs_of(session, batch), outputs_of(session, batch)
        assert {name: array.tobytes() for name, array in first.items()} == {
            name: array.tobytes() for name, array in second.items()
        }
        untouched = self.case.batch(self.case.rows, 0)
        assert all(np.array_equal(batch[name], untouched[name]) for name in untouched), "the batch was changed"

    def test_another_batch_gives_other_outputs(self, subject: Subject) -> None:
        """What answers from memory does not."""
        session = subject.open(self.case.model)
        first, second = (outputs_of(session, self.case.batch(self.case.rows, seed)) for seed in (0, 1))
        assert any(not np.allclose(first[name], second[name]) for name in first)

    def test_a_strided_batch_is_the_same_batch(self, subject: Subject) -> None:
        """`to_device` takes values, in whatever order they lie."""
        session, batch = subject.open(self.case.model), self.case.batch(self.case.rows, 0)
        strided = {name: np.repeat(array, 2, axis=0)[::2] for name, array in batch.items()}
        assert parity.error(outputs_of(session, strided), outputs_of(session, batch)) <= parity.TOLERANCE["fp32"]

    def test_other_numbers_of_rows_are_taken(self, subject: Subject) -> None:
        """Each row's outputs hang on that row alone; every new shape is a program more exactly where that is said."""
        session, batch = subject.open(self.case.model), self.case.batch(self.case.rows, 0)
        whole, counts = outputs_of(session, batch), [session.programs()]
        for rows in (self.case.rows // 2, 3):
            found = outputs_of(session, {name: array[:rows] for name, array in batch.items()})
            first = {name: array[:rows] for name, array in whole.items()}
            assert parity.error(found, first) <= parity.TOLERANCE["fp32"], f"{rows} rows give something else"
            counts.append(session.programs())
        _, second, third = counts
        grew = third is not None and second is not None and third > second
        assert grew == subject.backend.program_a_shape, f"programs {counts}, program_a_shape says otherwise"

    def test_a_step_does_not_change_what_the_last_one_gave(self, subject: Subject) -> None:
        """Outputs lie in memory of their own."""
        session = subject.open(self.case.model)
        xs = [session.to_device(self.case.batch(self.case.rows, seed)) for seed in (0, 1)]
        y = session.step(xs[0])
        session.sync(y)
        before = {name: array.copy() for name, array in session.to_host(y).items()}
        session.sync(session.step(xs[1]))
        assert all(np.array_equal(array, before[name]) for name, array in session.to_host(y).items())

    def test_a_step_is_done_when_sync_returns(self, subject: Subject) -> None:
        """Twice the rows take longer until `sync` returns, and not behind it."""
        session = subject.open(self.heavy.model)
        told = doubling.returns_early(session, self.heavy)
        assert not told, told

    def test_no_answer_is_remembered(self, subject: Subject) -> None:
        """The run's own audit (measuring rule 24): one batch over and over takes as long as new ones."""
        session, rows = subject.open(self.heavy.model), self.heavy.batch(self.heavy.rows, 0)
        x = session.to_device(rows)
        step_s = min(clock.first_step(session, x)[0] for _ in range(4))
        told = suspicion.remembers(session, x, suspicion.fresh_batches(rows, self.heavy.rows), step_s)
        assert not told, told

    def test_memory_is_a_figure_or_none_and_never_zero(self, subject: Subject) -> None:
        """None is "n/a"."""
        session = subject.open(self.case.model)
        outputs_of(session, self.case.batch(self.case.rows, 0))
        peaks = session.device_peak_bytes(), session.device_reserved_bytes()
        assert all(peak is None or (isinstance(peak, int) and peak > 0) for peak in peaks), f"peaks of {peaks} bytes"

    def test_steps_hold_no_memory(self, subject: Subject) -> None:
        """Whoever drops what a step gave has its memory back: this process's, and a device's that keeps an account."""
        session, batch = subject.open(self.large.model), self.large.batch(self.large.rows, 0)
        size = sum(array.nbytes for array in outputs_of(session, batch).values())
        for _ in range(STEPS_BEFORE):
            outputs_of(session, batch)
        before = held(session)
        for _ in range(STEPS):
            outputs_of(session, batch)
        for kind, bytes_after in held(session).items():
            grown = bytes_after - before[kind]
            assert grown < KEPT * STEPS * size, f"{STEPS} steps of {size} bytes left {grown} bytes of {kind} memory"

    def test_facts_are_json_and_name_the_footing(self, subject: Subject) -> None:
        """Without them a cell has no ratio."""
        session = subject.open(self.case.model)
        outputs_of(session, self.case.batch(self.case.rows, 0))
        facts = json.loads(json.dumps(session.facts()))
        assert not [name for name in FOOTING if facts.get(name) is None], "facts that are not stated"

    def test_it_runs_on_the_device_that_was_asked_for(self, subject: Subject) -> None:
        """And says so in the fact `ran_on`, which it reads back."""
        for device in subject.devices:
            cell = subject.asked(device=device)
            if subject.backend.why_not(cell) is None:
                weights = subject.weights(self.case.model)
                session = subject.kept(subject.backend.open(self.case.model, weights, cell))
                outputs_of(session, self.case.batch(self.case.rows, 0))
                assert session.facts().get("ran_on") == device

    def test_a_device_that_is_not_here_is_an_error(self, subject: Subject) -> None:
        """Not a silent fall-back to one that is."""
        for device in set(subject.backend.devices) - set(subject.devices):
            cell = subject.asked(device=device)
            if subject.backend.why_not(cell) is None:
                told = f"asked for {device}, which this machine does not have, it ran on another device"
                assert isinstance(self.attempted(subject, lambda cell=cell: cell), Exception), told

    def attempted(self, subject: Subject, cell: Callable[[], Any], weights: Path | None = None) -> Exception | None:
        """What opening and a step raise; None where both are done."""
        try:
            model = self.case.model
            session = subject.backend.open(model, weights or subject.weights(model), cell())
            outputs_of(subject.kept(session), self.case.batch(self.case.rows, 0))
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is looked at
            return error
        return None

    def test_weights_that_are_not_there_are_a_typed_error(self, subject: Subject, tmp_path: Path) -> None:
        """A file that lacks, and one that lacks a tensor; at the latest when a step is taken."""
        for weights in (tmp_path / "nowhere.safetensors", subject.without_a_tensor(self.case.model)):
            error = self.attempted(subject, subject.cell, weights)
            assert error is not None, f"it computes with what is not in {weights.name}"
            assert is_typed(error), f"{type(error).__name__} {error} does not say what is wrong"

    def test_a_batch_that_does_not_fit_is_a_typed_error_and_no_more(self, subject: Subject) -> None:
        """The session goes on afterwards."""
        session, batch = subject.open(self.case.model), self.case.batch(self.case.rows, 0)
        before = outputs_of(session, batch)
        for wrong in ({}, {name: array[..., :-1] for name, array in batch.items()}):
            with pytest.raises(Exception) as caught:  # noqa: PT011 -- which type it is, it says
                outputs_of(session, wrong)
            assert is_typed(caught.value), f"{caught.type.__name__} {caught.value} does not say what is wrong"
        assert parity.error(outputs_of(session, batch), before) <= parity.TOLERANCE["fp32"]

    def test_what_it_cannot_do_it_refuses_in_words(self, subject: Subject) -> None:
        """`why_not` names what was asked for: a device, a scenario, a precision."""
        known = subject.backend
        asked: list[tuple[str, str]] = [
            *(("device", each) for each in ("cpu", "cuda", "tpu") if each not in known.devices),
            *(("scenario", each) for each in ("infer", "generate") if each not in known.scenarios),
            *(("precision", each) for each in ("bf16", "fp16", "int8") if each not in known.precisions),
        ]
        for name, value in asked:
            plain = {"device": known.devices[0], "scenario": known.scenarios[0], "precision": known.precisions[0]}
            reason = known.why_not(subject.asked(**{**plain, name: value}))
            assert reason, f"it would take {name} {value}"
            assert value in reason, f"{reason!r} does not name {value}"

    def test_its_environment_is_text(self, subject: Subject, tmp_path: Path) -> None:
        """Of a worker, as `env` wants it."""
        variables = subject.backend.env(subject.cell(), tmp_path)
        assert all(isinstance(text, str) and "\0" not in text for pair in variables.items() for text in pair)

    def test_its_clock_never_goes_back(self, subject: Subject) -> None:
        """And is finite."""
        session = subject.open(self.case.model)
        readings = [session.clock()]
        for _ in range(5):
            outputs_of(session, self.case.batch(self.case.rows, 0))
            readings.append(session.clock())
        assert readings == sorted(readings)
        assert all(map(math.isfinite, readings))

    def test_what_it_counts_is_finite(self, subject: Subject) -> None:
        """Operations and bytes of a step, or None."""
        session = subject.open(self.case.model)
        x = session.to_device(self.case.batch(self.case.rows, 0))
        session.sync(session.step(x))
        if (cost := session.cost(x)) is not None:
            assert all(math.isfinite(each) and each > 0 for each in (cost.flops, cost.bytes)), str(cost)

    def test_nothing_is_left_behind_in_the_process(self, subject: Subject, tmp_path: Path) -> None:
        """Opened and closed twice: no thread, child, open or temporary file more than once, no signal handler,
        environment variable, module path or working directory changed."""
        cell, batch = subject.cell(), tmp_path / "batch.safetensors"
        save_file(self.case.batch(self.case.rows, 0), batch)
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        asked = Request(
            module=subject.card.module,
            cell=cell,
            model=self.case.model,
            weights=subject.weights(self.case.model),
            batch=batch,
        )
        variables = {**subject.backend.env(cell, tmp_path), "TMPDIR": str(temporary)}
        found = left_behind(asked, tmp_path, variables)
        assert not found, f"left behind: {', '.join(found)}"


def described(outputs: Arrays) -> dict[str, tuple[tuple[int, ...], str]]:
    """The shape and dtype of each output; integers of any width are integers."""
    kinds = {"i": "integer", "u": "integer"}
    return {name: (each.shape, kinds.get(each.dtype.kind, str(each.dtype))) for name, each in outputs.items()}


def swapped(found: Arrays, oracle: Arrays) -> str:
    """Say whether the outputs are right in another order, of names, rows or columns; empty where in none."""
    names = sorted(found)
    for order in list(permutations(names))[1:]:
        if parity.error({a: found[b] for a, b in zip(names, order, strict=True)}, oracle) < parity.TOLERANCE["fp32"]:
            return ": outputs are swapped"
    for axis, what in ((0, "rows"), (-1, "columns")):
        for name, array in oracle.items():
            if array.ndim > 1 and _is_permuted(np.moveaxis(found[name], axis, 0), np.moveaxis(array, axis, 0)):
                return f": {what} of {name!r} are swapped"
    return ""


def _is_permuted(found: np.ndarray, right: np.ndarray) -> bool:
    flat, aim = found.reshape(len(found), -1), right.reshape(len(right), -1)
    distance = np.linalg.norm(flat[:, None] - aim[None], axis=-1) / (np.linalg.norm(aim, axis=-1) + 1e-12)
    nearest = distance.argmin(0)
    return sorted(nearest) == list(range(len(aim))) and bool((distance.min(0) < parity.TOLERANCE["fp32"]).all())


def held(session: Session) -> dict[str, int]:
    """Bytes that are held now: resident in this process, and the device's peak where it keeps an account."""
    gc.collect()
    found = {"host": memory.resident_bytes(), "device": session.device_peak_bytes()}
    return {kind: size for kind, size in found.items() if size is not None}


def left_behind(asked: Request, folder: Path, variables: dict[str, str]) -> list[str]:
    """What a process says that opened a backend twice. It ends with all that it started, which may hold its output."""
    request, answer, log = folder / "request.json", folder / "answer.json", folder / "log"
    request.write_bytes(encoder.encode(asked))
    with log.open("wb") as printed:
        process = subprocess.Popen(
            child.command("-m", "weighbridge.bench.run.leftovers", str(request), str(answer)),
            env={**environment_without_pytest(), **child.path_variables(), **variables},
            stdout=printed,
            stderr=printed,
            start_new_session=True,
        )
    try:
        code = process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        return [f"a process that did not end within {LIMIT_S:g} s"]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not answer.exists():
        return [f"a process that ended with exit code {code}: {log.read_text(errors='replace').strip()[-500:]}"]
    return msgspec.json.decode(answer.read_bytes(), type=list[str])


def environment_without_pytest() -> dict[str, str]:
    """The environment, less what pytest changes in it while it runs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
