"""Varying shapes on a session of known costs, in its own time; and the real rows of the tasks that have them."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests import nouns
from tests.conftest import make_cell
from weighbridge.bench.analysis import ratios, runs
from weighbridge.bench.cli import console
from weighbridge.bench.cli.main import app
from weighbridge.bench.core import Arrays, Cell, Session, WeighbridgeError
from weighbridge.bench.core.effort import QUICK
from weighbridge.bench.core.process import Process
from weighbridge.bench.core.record import Parity, Record
from weighbridge.bench.measure import parity
from weighbridge.bench.report import markdown
from weighbridge.bench.report.overview import Overview
from weighbridge.bench.report.sections import varying_shapes as told
from weighbridge.bench.report.texts import rate
from weighbridge.bench.run import cards, planners
from weighbridge.bench.scenarios.base import A, ImplausibleError, Request, answer_type
from weighbridge.bench.scenarios.steps.requests import Check, Checked, Memory, MemoryPeaks, Opened
from weighbridge.bench.scenarios.varying_shapes import padding, result
from weighbridge.bench.scenarios.varying_shapes.answer import ShapesAnswers, VaryingSteps, filled, length_of
from weighbridge.bench.scenarios.varying_shapes.buckets import Shape
from weighbridge.bench.scenarios.varying_shapes.measure import Varying
from weighbridge.bench.scenarios.varying_shapes.requests import ShapesResult, StepThrough
from weighbridge.bench.scenarios.varying_shapes.result import Outcome, cost, total_s
from weighbridge.bench.scenarios.varying_shapes.scenario import STRATEGIES, VaryingShapes
from weighbridge.bench.scenarios.varying_shapes.settings import of as settings_of
from weighbridge.bench.scenarios.varying_shapes.settings import strategy
from weighbridge.bench.storage import coding, packages

COMPILE_S, FIXED_S, POSITION_S = 2.0, 0.01, 0.001
RNG = np.random.default_rng(0)
ROWS: list[Arrays] = [{"ids": RNG.integers(1, 9, length)} for length in RNG.integers(3, 60, 200)]


class Compiling(Session):
    """Sums each row; a shape that it has not met costs a compilation on its own clock; two at most, if `any_shape`."""

    def __init__(self, compiles: bool = True, leaks: bool = False, any_shape: bool = False) -> None:
        self.compiles, self.leaks, self.any_shape = compiles, leaks, any_shape
        self.met, self.now_s = set[tuple[int, ...]](), 0.0

    def to_device(self, batch: Arrays) -> np.ndarray:
        self.now_s += 100.0  # staging is not timed
        return batch["ids"]

    def step(self, x: np.ndarray) -> Arrays:
        self.now_s += FIXED_S + POSITION_S * x.size
        before = self.programs() or 0
        self.met.add(x.shape)
        self.now_s += COMPILE_S * ((self.programs() or 0) - before)
        tokens = np.cumsum(x, 1)[:, :, None].astype(np.float32)
        total = x.sum(1, keepdims=True) + (x.shape[1] if self.leaks else 0)
        return {"total": total.astype(np.float32), "tokens": tokens}

    def sync(self, y: Any) -> None: ...

    def to_host(self, y: Arrays) -> Arrays:
        return y

    def clock(self) -> float:
        return self.now_s

    def programs(self) -> int | None:
        return None if not self.compiles else min(len(self.met), 2) if self.any_shape else len(self.met)


def passed(lengths: list[int], pads_rows: bool = False, session: Session | None = None) -> ShapesResult:
    steps = VaryingSteps(make_cell(batch_size=4), session or Compiling(), ROWS)
    request = StepThrough(strategy="best" if lengths else "exact", lengths=lengths, pads_rows=pads_rows, batches=30)
    return steps.step_through(request, pads_rows)


def test_every_new_shape_is_counted_and_its_compilation_told_apart() -> None:
    found = passed([])
    shapes = set(found.shapes)
    assert found.programs == [len(shapes), 0]
    assert len(found.compiled_at) == len(shapes) > 20
    assert cost(found).compiling_s == pytest.approx(COMPILE_S * len(shapes))
    assert cost(found).steady_s == pytest.approx(
        sum(FIXED_S + POSITION_S * shape.positions for shape in found.shapes), rel=1e-6
    )


def test_buckets_compile_less_and_waste_more() -> None:
    exact, buckets, one = passed([]), passed([32, 64], pads_rows=True), passed([64], pads_rows=True)
    counts = [each.programs[0] for each in (exact, buckets, one) if each.programs]
    assert counts == sorted(counts, reverse=True)
    assert counts[2] == 3  # batches of 1, 2 and 4 rows
    assert cost(exact).waste < cost(buckets).waste < cost(one).waste
    assert exact.tokens == buckets.tokens == one.tokens


def test_without_padding_only_shorter_rows_of_a_batch_are_waste() -> None:
    single = VaryingSteps(make_cell(batch_size=1), Compiling(), ROWS)
    request = StepThrough(strategy="exact", pads_rows=False, batches=30)
    assert cost(single.step_through(request, False)).waste == 0


def test_the_length_of_one_length_is_that_of_the_longest_row() -> None:
    steps = VaryingSteps(make_cell(batch_size=4), Compiling(), ROWS)
    found = steps.step_through(StepThrough(strategy="one_length", pads_rows=True, batches=30), True)
    longest = max(shape.length for shape in passed([]).shapes)
    assert found.lengths == [longest]
    assert {shape.length for shape in found.shapes} == {longest}


class Interrupted(Compiling):
    """One step of the second pass, the first of the later ones, takes a thousand seconds more."""

    steps = 0

    def step(self, x: np.ndarray) -> Arrays:
        self.steps += 1
        self.now_s += 1000.0 * (self.steps == 35)
        return super().step(x)


def test_a_neighbours_burst_in_one_pass_is_no_part_of_a_step() -> None:
    found = passed([], session=Interrupted())
    assert max(found.steady_s[0]) > 1000
    assert cost(found).steady_s == pytest.approx(cost(passed([])).steady_s)


def test_a_shape_costs_nothing_more_where_programs_serve_any() -> None:
    assert padding.price_s(passed([])) == pytest.approx(COMPILE_S)
    assert padding.price_s(passed([], session=Compiling(any_shape=True))) == 0
    assert padding.price_s(passed([], session=Compiling(compiles=False))) == 0


def test_what_does_not_compile_loses_nothing() -> None:
    found = cost(passed([], session=Compiling(compiles=False)))
    assert (found.programs, found.compiling_s) == (None, 0)


def test_padding_that_changes_outputs_is_seen_and_what_stands_after_a_row_is_not() -> None:
    assert passed([64], pads_rows=True).error == 0
    leaking = passed([64], session=Compiling(leaks=True))
    assert leaking.error is not None
    assert leaking.error > parity.TOLERANCE["fp32"]


def test_padding_within_a_batch_is_seen_without_buckets_too() -> None:
    assert passed([]).error == 0
    leaking = passed([], session=Compiling(leaks=True))
    assert leaking.error is not None
    assert leaking.error > parity.TOLERANCE["fp32"]


def test_rows_are_filled_with_zeros_and_batches_with_their_first_row() -> None:
    batch = filled([{"ids": np.array([1, 2])}, {"ids": np.array([3])}], Shape(4, 3))["ids"]
    assert batch.tolist() == [[1, 2, 0], [3, 0, 0], [1, 2, 0], [1, 2, 0]]
    assert batch.dtype == np.int64


class Worker:
    """In the place of a process: an open session that answers what a cell is asked."""

    def __init__(self, cell: Cell, fails_at: str, leaks: bool) -> None:
        self.cell, self.fails_at, self.leaks = cell, fails_at, leaks

    def __call__(self, request: Request[A]) -> A:
        return msgspec.convert(msgspec.to_builtins(self.told(request)), answer_type(request))

    def told(self, request: Request[Any]) -> Any:
        match request:
            case StepThrough():
                if request.strategy == self.fails_at:
                    raise MemoryError("full")
                steps = VaryingSteps(self.cell, Compiling(leaks=self.leaks), ROWS)
                return steps.step_through(request, request.pads_rows is not False and request.strategy != "exact")
            case Check():
                return Checked(parity=PARITY)
            case Memory():
                return MemoryPeaks(
                    host_peak_bytes=1, device_peak_bytes=None, device_reserved_bytes=None, device_process_bytes=None,
                    facts={},
                )  # fmt: skip
            case _:
                return None


PARITY = Parity(ratio=1.0, limit=2.0, passed=True)
OPENED = Opened(environment={}, items=4, clock_cost_s=1e-8, item="token")


def record_of(cell: Cell, fails_at: str = "", leaks: bool = False) -> Record:
    weighing = Varying(cell, QUICK, lambda name: None)
    weighing.begin(Worker(cell, fails_at, leaks), OPENED)
    try:
        weighing.get_ready()
        weighing.finish()
    except MemoryError as error:
        return weighing.record(status="oom", reason=str(error))
    except ImplausibleError as error:
        return weighing.record(status="implausible", reason=str(error))
    return weighing.record(status="ok")


def weighed(passes: int, known: Sequence[Record] = (), fails_at: str = "") -> list[Record]:
    """The new records of a plan of all strategies."""
    card = cards.task("semantic-search")
    settings = VaryingShapes().variants(card, {"batches": "30", "passes": passes})
    cells = [make_cell("toy", scenario="varying_shapes", batch_size=4, settings=each) for each in settings]
    found, planner = {record.cell: record for record in known}, planners.of_plan(cells)
    while todo := [cell for cell in planner(found) if cell not in found]:
        found |= {cell: record_of(cell, fails_at) for cell in todo}
    return [record for record in found.values() if record not in known]


def strategies(records: Sequence[Record]) -> list[str]:
    return [strategy(record.cell) for record in records]


def outcomes(records: Sequence[Record]) -> list[Outcome]:
    return list(map(result.outcome, records))


@pytest.mark.parametrize("program_a_shape", [True, False])
def test_rows_are_filled_up_where_a_shape_is_a_program_and_not_where_one_serves_any(
    program_a_shape: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = nouns.backend("fake")
    monkeypatch.setattr(type(backend), "program_a_shape", program_a_shape)
    fixed = {"ids": np.ones((4, 5), np.int64)}
    host: Any = SimpleNamespace(
        session=Compiling(), cell=make_cell(batch_size=4), backend=backend, varying=lambda: ROWS, rows=fixed
    )
    answers = ShapesAnswers(host)
    for name, expected in zip(STRATEGIES[:3], (False, program_a_shape, program_a_shape), strict=True):
        found = answers.answer(StepThrough(strategy=name, pads_rows=None, batches=9))
        assert isinstance(found, ShapesResult)
        assert found.pads_rows is expected


@pytest.mark.parametrize("passes", [1, 20, 300])
def test_the_best_set_that_was_chosen_is_the_best_that_was_measured(passes: int) -> None:
    records = weighed(passes)
    assert strategies(records) == ["exact", "one_length", "powers_of_two", "best"]
    found = outcomes(records)
    best = total_s(found[-1], passes)
    assert best <= min(total_s(each, passes) for each in found) * 1.001
    assert told.sentence(found, passes).startswith(told.spoken(result.as_fast(found, passes)[0]))
    assert settings_of(records[-1].cell).buckets == found[-1].lengths


def test_where_compiling_is_repaid_many_times_over_exact_is_best_and_not_done_twice() -> None:
    assert strategies(weighed(10**9)) == ["exact", "one_length", "powers_of_two"]


def test_what_is_known_is_not_done_again() -> None:
    first = weighed(20)
    assert weighed(20, first) == []
    assert strategies(weighed(20, first[:2])) == ["powers_of_two", "best"]


def test_a_best_that_was_sought_over_other_passes_is_sought_again() -> None:
    first = weighed(20)
    (again,) = weighed(1, first)
    assert (strategy(again.cell), settings_of(again.cell).passes) == ("best", 1)
    assert settings_of(again.cell).buckets != settings_of(first[-1].cell).buckets


def test_the_best_alone_has_exact_weighed_first() -> None:
    pairs = VaryingShapes().variants(cards.task("semantic-search"), {"batches": 30, "strategy": "best"})
    (best,) = (make_cell("toy", scenario="varying_shapes", batch_size=4, settings=each) for each in pairs)
    (exact,) = planners.of_plan([best])({})
    assert strategy(exact) == "exact"
    (after,) = planners.of_plan([best])({exact: record_of(exact)})
    assert settings_of(after).buckets


def test_a_strategy_that_fails_is_a_row_and_the_others_go_on() -> None:
    records = weighed(20, fails_at="one_length")
    assert [record.status for record in records] == ["ok", "oom", "ok", "ok"]
    assert told.line(outcomes(records)[1], 20)[:2] == ["one length", "oom: full"]
    assert "oom: full" in report(records)


def report(records: Sequence[Record]) -> str:
    return markdown.render(Overview(ratios.rows(records, "toy"), "toy"))


def test_where_exact_fails_the_paddings_that_might_not_are_tried() -> None:
    records = weighed(20, fails_at="exact")
    assert [(strategy(record.cell), record.status) for record in records] == [
        ("exact", "oom"), ("one_length", "ok"), ("powers_of_two", "ok"),
    ]  # fmt: skip
    found = outcomes(records)
    assert told.sentence(found, 20).startswith(told.spoken(result.as_fast(found, 20)[0]))


def test_padding_that_changes_what_is_computed_is_no_result() -> None:
    cell = make_cell("toy", scenario="varying_shapes", batch_size=4, settings=(("strategy", "one_length"),))
    record = record_of(cell, leaks=True)
    assert (record.status, record.reason[:23]) == ("implausible", "padding changes outputs")
    assert runs.failed([record], [])


def test_a_step_is_a_pass_and_the_first_one_is_the_compilation() -> None:
    record = weighed(20)[0]
    (process,) = record.processes
    assert len(process.step_s) == 3
    assert record.compile_s is not None
    assert record.compile_s > COMPILE_S
    (row,) = ratios.rows([record], "toy")
    assert row.rate == pytest.approx(record.items_per_step / process.step_s[0], rel=0.01)
    assert rate(row).endswith(" tokens/s")


def test_a_task_of_one_shape_is_a_wrong_request() -> None:
    ended = CliRunner().invoke(app, ["churn", "--tasks", "tabular-regression"])
    assert isinstance(ended.exception, WeighbridgeError)
    assert "all have one shape; choose semantic-search or text-generation" in str(ended.exception)


@pytest.mark.parametrize("name", ["semantic-search", "text-generation"])
def test_real_rows_vary_are_the_same_every_time_and_fit_the_model(name: str) -> None:
    task = nouns.task(name)
    assert task.varying is not None
    files = packages.files(task.packages)
    rows, again = task.varying(files, "small"), task.varying(files, "small")
    lengths = [length_of(row) for row in rows]
    assert len(rows) > 500
    assert len(set(lengths)) > 50
    assert 1 <= min(lengths) < max(lengths) <= 256
    assert all(np.array_equal(a["input_ids"], b["input_ids"]) for a, b in zip(rows, again, strict=True))
    assert rows[0].keys() == task.data(files, "eval", "small").inputs.keys()


def test_the_terminals_table_fits_eighty_columns_and_names_buckets_and_reasons_below(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "out", Console(width=80))
    found = told.section(ratios.rows(weighed(20, fails_at="one_length"), "toy"))
    assert found is not None
    console.print_section(found)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "powers of two: 16, 32, 64; rows too" in printed
    assert "one length: oom, full" in printed
    assert any("powers of two" in line and "tokens" not in line and " % " in line for line in printed.splitlines())


def timed(name: str, shapes: list[Shape], steady_s: list[float]) -> Outcome:
    made = ShapesResult(
        lengths=[], shapes=shapes, tokens=9, cold_s=steady_s, steady_s=[steady_s], compiled_at=[], programs=[0, 0],
        error=0.0,
    )  # fmt: skip
    cell = make_cell("toy", scenario="varying_shapes", settings=(("strategy", name),))
    process = Process(result=msgspec.to_builtins(made))
    return result.outcome(Record(cell=cell, status="ok", processes=[process]))


SAME, SHORT, LONG = Shape(1, 8), Shape(1, 10), Shape(1, 16)


def test_what_is_no_more_than_equal_shapes_differ_by_is_no_difference() -> None:
    exact = timed("exact", [SAME, SHORT], [1.00, 0.100])
    best = timed("best", [SAME, LONG], [0.95, 0.102])
    assert result.drift(exact, best) == result.drift(best, exact) == pytest.approx(1 / 0.95 - 1)
    assert [each.strategy for each in result.as_fast([exact, best], 100)] == ["best", "exact"]
    assert "best and exact cannot be told apart over 100 passes: 4.6 % lies between them" in told.sentence(
        [exact, best], 100
    )


def test_what_is_more_is_one() -> None:
    exact, one = timed("exact", [SAME, SHORT], [1.0, 0.1]), timed("one_length", [SAME, LONG], [1.01, 0.3])
    assert result.noise([exact, one]) == pytest.approx(0.02)
    assert told.sentence([exact, one], 100) == "exact is fastest over 100 passes"


def test_without_equal_shapes_the_floor_of_the_machine_stands_in() -> None:
    exact, one = timed("exact", [SHORT], [1.0]), timed("one_length", [LONG], [1.015])
    assert result.drift(exact, one) is None
    assert len(result.as_fast([exact, one], 100)) == 2


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ({"strategy": "bset"}, "-S strategy=bset: invalid enum value 'bset'"),
        ({"batches": "1"}, "-S batches=1: expected `int` >= 2"),
        ({"lengths": "16;32"}, "-S lengths=16;32: expected `str` matching regex"),
        ({"lenghts": "16"}, "did you mean 'lengths'?"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(typed: dict[str, str], hint: str) -> None:
    with pytest.raises(WeighbridgeError) as error:
        VaryingShapes().variants(cards.task("semantic-search"), typed)
    assert hint in str(error.value)


def test_a_result_of_a_later_version_is_kept_and_not_shown() -> None:
    record = weighed(20)[0]
    newer = {**(record.processes[0].result or {}), "version": 2}
    later = msgspec.structs.replace(record, processes=[msgspec.structs.replace(record.processes[0], result=newer)])
    assert result.read(later) is None
    assert "version" in coding.encoder.encode(later).decode()
