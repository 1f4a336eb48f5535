"""Shape churn on a session of known costs, in its own time; and the real rows of the tasks that have them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from bench.cli import varying_shapes
from bench.cli.main import app
from bench.core import Arrays, Backend, Cell, Session, WeighbridgeError
from bench.core.record import Parity
from bench.measure import parity
from bench.report.sections import varying_shapes as told
from bench.run import folders, jobs
from bench.run import varying_shapes as run_varying_shapes
from bench.run.plan import Filters
from bench.scenarios.base import Ask
from bench.scenarios.varying_shapes import padding, result
from bench.scenarios.varying_shapes.answer import Churning, filled, length_of
from bench.scenarios.varying_shapes.buckets import Shape
from bench.scenarios.varying_shapes.requests import Churn, Passed
from bench.scenarios.varying_shapes.result import Churned, cost, total_s
from bench.storage import packages
from bench.storage.journals import append
from tests import nouns
from tests.conftest import Silent, make_cell

COMPILE_S, FIXED_S, POSITION_S = 2.0, 0.01, 0.001
RNG = np.random.default_rng(0)
ROWS: list[Arrays] = [{"ids": RNG.integers(1, 9, length)} for length in RNG.integers(3, 60, 200)]


class Compiling(Session):
    """Sums each row; a shape that it has not met costs a compilation on its own clock; two at most, if `any_shape`."""

    def __init__(self, compiles: bool = True, leaks: bool = False, any_shape: bool = False) -> None:
        self.compiles, self.leaks, self.any_shape = compiles, leaks, any_shape
        self.met, self.now_s = set[tuple[int, ...]](), 0.0

    def put(self, batch: Arrays) -> np.ndarray:
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

    def get(self, y: Arrays) -> Arrays:
        return y

    def clock(self) -> float:
        return self.now_s

    def programs(self) -> int | None:
        return None if not self.compiles else min(len(self.met), 2) if self.any_shape else len(self.met)


def passed(lengths: list[int], pads_rows: bool = False, session: Session | None = None) -> Passed:
    churning = Churning(make_cell(batch_size=4), session or Compiling(), ROWS)
    strategy = "best" if lengths else "exact"
    return churning.churn(Churn(strategy=strategy, lengths=lengths, pads_rows=pads_rows, batches=30))


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
    single = Churning(make_cell(batch_size=1), Compiling(), ROWS)
    assert cost(single.churn(Churn(strategy="exact", pads_rows=False, batches=30))).waste == 0


def test_the_length_of_one_length_is_that_of_the_longest_row() -> None:
    churning = Churning(make_cell(batch_size=4), Compiling(), ROWS)
    found = churning.churn(Churn(strategy="one length", pads_rows=True, batches=30))
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


class Toy(Backend):
    """Says that it compiles a program a shape."""

    name, compiles, program_a_shape = "toy", True, True

    def open(self, *args: Any) -> Session:
        raise NotImplementedError


class Studies:
    """In the place of worker processes: every trial on a new session, some of which fail."""

    fails_at = ""

    def __init__(self, job: object, journal: Path, watcher: object, cold: bool) -> None:
        assert cold

    def trials(
        self, cells: Sequence[Cell], kind: type[Churned], converse: Callable[[Cell, Ask], Any], given: Mapping[str, Any]
    ) -> Iterator[Churned]:
        for cell in cells:
            if given["strategy"] == self.fails_at:
                yield kind(cell=cell, status="oom", reason="full", **given)
                continue
            churning = Churning(cell, Compiling(), ROWS)
            found = converse(cell, churning.churn)
            yield kind(cell=cell, status="ok", parity=PARITY, **{**given, **found})


PARITY = Parity(ratio=1.0, limit=2.0, passed=True)


def trials(monkeypatch: pytest.MonkeyPatch, passes: int, known: Sequence[Churned] = ()) -> list[Churned]:
    monkeypatch.setattr(run_varying_shapes, "Study", Studies)
    cell = make_cell("toy", batch_size=4)
    job = msgspec.structs.replace(jobs.job(jobs.Planned(cells=[], reference="fake"), 9.0), backends={"toy": Toy()})
    return list(run_varying_shapes.weigh(job, Path("unused"), Silent(), [cell], 30, passes, known))


@pytest.mark.parametrize("program_a_shape", [True, False])
def test_rows_are_filled_up_where_a_shape_is_a_program_and_not_where_one_serves_any(
    program_a_shape: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "program_a_shape", program_a_shape)
    found = {trial.strategy: trial.pads_rows for trial in trials(monkeypatch, 20)}
    assert (found["one length"], found["powers of two"]) == (program_a_shape, program_a_shape)


@pytest.mark.parametrize("passes", [1, 20, 300])
def test_the_best_set_that_was_chosen_is_the_best_that_was_measured(
    passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = trials(monkeypatch, passes)
    assert [trial.strategy for trial in found] == ["exact", "one length", "powers of two", "best"]
    best = total_s(found[-1], passes)
    assert best <= min(total_s(trial, passes) for trial in found) * 1.001
    assert told.sentence(found, passes).startswith(result.as_fast(found, passes)[0].strategy)


def test_where_compiling_is_repaid_many_times_over_exact_is_best_and_not_done_twice(
    monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    assert [trial.strategy for trial in trials(monkeypatch, 10**9)] == ["exact", "one length", "powers of two"]


def test_what_is_known_is_not_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = trials(monkeypatch, 20)
    assert trials(monkeypatch, 20, first) == []
    assert [trial.strategy for trial in trials(monkeypatch, 20, first[:2])] == ["powers of two", "best"]


def test_a_strategy_that_fails_is_a_row_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Studies, "fails_at", "one length")
    found = trials(monkeypatch, 20)
    assert [trial.status for trial in found] == ["ok", "oom", "ok", "ok"]
    assert told.row(found[1], 20)[:2] == ["one length", "oom: full"]
    assert not all(map(varying_shapes.right, found))
    assert "oom: full" in told.markdown(found, 20)


def test_where_exact_fails_the_paddings_that_might_not_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Studies, "fails_at", "exact")
    found = trials(monkeypatch, 20)
    assert [(trial.strategy, trial.status) for trial in found] == [
        ("exact", "oom"), ("one length", "ok"), ("powers of two", "ok"),
    ]  # fmt: skip
    assert told.sentence(found, 20).startswith(result.as_fast(found, 20)[0].strategy)


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
    monkeypatch.setattr(Studies, "fails_at", "one length")
    monkeypatch.setattr(varying_shapes, "out", Console(width=80))
    varying_shapes.show(trials(monkeypatch, 20), 20)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "powers of two: 16, 32, 64; rows too" in printed
    assert "one length: oom, full" in printed
    assert any("powers of two" in line and "tokens" not in line and " % " in line for line in printed.splitlines())


def timed(strategy: str, shapes: list[Shape], steady_s: list[float]) -> Churned:
    made = Passed(
        lengths=[], shapes=shapes, tokens=9, cold_s=steady_s, steady_s=[steady_s], compiled_at=[], programs=[0, 0],
        error=0.0,
    )  # fmt: skip
    return Churned(cell=make_cell("toy"), status="ok", strategy=strategy, passed=made)  # type: ignore[arg-type]


SAME, SHORT, LONG = Shape(1, 8), Shape(1, 10), Shape(1, 16)


def test_what_is_no_more_than_equal_shapes_differ_by_is_no_difference() -> None:
    exact = timed("exact", [SAME, SHORT], [1.00, 0.100])
    best = timed("best", [SAME, LONG], [0.95, 0.102])
    assert result.drift(exact, best) == result.drift(best, exact) == pytest.approx(1 / 0.95 - 1)
    assert [trial.strategy for trial in result.as_fast([exact, best], 100)] == ["best", "exact"]
    assert "best and exact cannot be told apart over 100 passes: 4.6 % lies between them" in told.sentence(
        [exact, best], 100
    )


def test_what_is_more_is_one() -> None:
    exact, one = timed("exact", [SAME, SHORT], [1.0, 0.1]), timed("one length", [SAME, LONG], [1.01, 0.3])
    assert result.noise([exact, one]) == pytest.approx(0.02)
    assert told.sentence([exact, one], 100) == "exact is fastest over 100 passes"


def test_without_equal_shapes_the_floor_of_the_machine_stands_in() -> None:
    exact, one = timed("exact", [SHORT], [1.0]), timed("one length", [LONG], [1.015])
    assert result.drift(exact, one) is None
    assert len(result.as_fast([exact, one], 100)) == 2


def test_a_best_that_was_sought_over_other_passes_is_sought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = trials(monkeypatch, 20)
    (again,) = trials(monkeypatch, 1, first)
    assert (again.strategy, again.passes) == ("best", 1)
    assert again.lengths != first[-1].lengths


def test_a_journal_of_other_work_is_not_gone_on_with(tmp_path: Path) -> None:
    trial = timed("exact", [SAME, SHORT], [1.0, 0.1])
    append(tmp_path / result.JOURNAL, trial)
    planned = jobs.prepare("fake", Filters())
    with pytest.raises(WeighbridgeError, match="holds work of 2 batches, not 40; add --batches 2 or"):
        varying_shapes.weigh_showing_progress(planned, folders.Options(out=tmp_path, resume=True), 40, 100)
