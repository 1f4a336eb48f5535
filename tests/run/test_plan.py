from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core import Cell, WeighbridgeError
from bench.run import cards
from bench.run.plan import Filters, Suite, Table, plan

SUITE = Suite(
    about="two products",
    reference="torch",
    device="cpu",
    cells=[
        Table(
            tasks=("tabular-regression", "text-generation"),
            backends=("flax", "torch"),
            scenarios=("infer", "generate"),
        ),
        Table(tasks=("tabular-regression",), backends=("torch-compile",), scenarios=("infer",)),
    ],
)


def cells(**filters: Any) -> list[Cell]:
    return plan(SUITE, Filters(**filters), cards.task, cards.backend)


def named(found: list[Cell]) -> set[tuple[str, str, str]]:
    return {(cell.task, cell.backend, cell.scenario) for cell in found}


def test_only_the_scenarios_that_a_task_has() -> None:
    assert ("tabular-regression", "torch", "generate") not in named(cells())
    assert ("text-generation", "torch", "generate") in named(cells())


def test_the_reference_is_first_in_each_group() -> None:
    found = cells()
    firsts = {cell.group: cell.backend for cell in reversed(found)}
    assert set(firsts.values()) == {"torch"}


def test_filters_narrow() -> None:
    assert named(cells(tasks=["text-generation"], scenarios=["infer"])) == {
        ("text-generation", "flax", "infer"),
        ("text-generation", "torch", "infer"),
    }


def test_a_backend_filter_keeps_to_the_suites_products() -> None:
    assert named(cells(backends=["torch-compile"])) == {("tabular-regression", "torch-compile", "infer")}


def test_what_is_asked_for_by_name_is_added_where_the_suite_lacks_it() -> None:
    found = named(cells(tasks=["text-generation"], backends=["torch-compile"], scenarios=["infer"]))
    assert found == {("text-generation", "torch-compile", "infer")}
    assert {backend for _, backend, _ in named(cells(backends=["fake"]))} == {"fake"}


def test_batch_sizes_and_precisions_replace() -> None:
    found = cells(tasks=["tabular-regression"], backends=["torch"], batch_sizes=[1, 2], precisions=["bf16"])
    assert sorted((cell.batch_size, cell.precision) for cell in found) == [(1, "bf16"), (2, "bf16")]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"tasks": ["text-generatoin"]}, "did you mean 'text-generation'"),
        ({"backends": ["flux"]}, "did you mean 'flax'"),
        ({"precisions": ["fp23"]}, "did you mean 'fp32'"),
        ({"precisions": ["fp64"]}, "no precision 'fp64'"),
        ({"scenarios": ["inferr"]}, "did you mean 'infer'"),
        ({"device": "gpu"}, "choose from cpu, cuda, tpu"),
        ({"tasks": ["tabular-regression"], "presets": ["huge"]}, "choose from"),
    ],
)
def test_unknown_words_are_refused_with_a_hint(filters: dict[str, Any], message: str) -> None:
    with pytest.raises(WeighbridgeError, match=message):
        cells(**filters)


@given(st.lists(st.integers(1, 512), min_size=1, max_size=4), st.integers(0, 2**31))
def test_ids_tell_cells_apart_and_groups_join_backends(sizes: list[int], seed: int) -> None:
    found = cells(tasks=["tabular-regression"], backends=["torch", "flax"], batch_sizes=sizes, seed=seed)
    assert len({cell.id for cell in found}) == len(found) == 2 * len(set(sizes))
    assert len({cell.group for cell in found}) == len(set(sizes))
