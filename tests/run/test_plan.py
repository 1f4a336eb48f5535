from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.bench.core import Cell, WeighbridgeError
from weighbridge.bench.run import cards
from weighbridge.bench.run.plan import Filters, Suite, Table, plan

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
    return plan(SUITE, Filters(**filters), cards.task, cards.backend, cards.options)


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


def test_a_scenario_that_no_product_names_goes_where_its_way_does() -> None:
    found = cells(tasks=[], scenarios=["single_stream"])
    assert named(found) == {
        ("tabular-regression", "torch", "single_stream"), ("tabular-regression", "flax", "single_stream"),
        ("tabular-regression", "torch-compile", "single_stream"), ("text-generation", "torch", "single_stream"),
        ("text-generation", "flax", "single_stream"),
    }  # fmt: skip


def test_a_setting_goes_to_the_scenarios_that_have_it_and_into_the_cell() -> None:
    found = cells(scenarios=["infer", "server"], settings={"queue": "7", "bound_s": "0.5"})
    assert {cell.settings for cell in found if cell.scenario == "infer"} == {()}
    assert {cell.settings for cell in found if cell.scenario == "server"} == {(("bound_s", 0.5), ("queue", 7))}
    assert len({cell.id for cell in found}) == len(found)


def test_the_bound_of_a_server_is_the_tasks_where_none_is_given() -> None:
    found = cells(scenarios=["server"])
    assert {(cell.task, cell.settings) for cell in found} == {
        ("tabular-regression", (("bound_s", 0.1),)), ("text-generation", (("bound_s", 2.0),)),
    }  # fmt: skip


def test_cells_that_differ_in_settings_are_no_group_and_in_options_are_one() -> None:
    (torch,) = cells(tasks=["tabular-regression"], backends=["torch"], scenarios=["infer"])
    compiled = {
        mode: cells(tasks=["tabular-regression"], backends=["torch-compile"], scenarios=["infer"], options=options)[0]
        for mode, options in (("", {}), ("max-autotune", {"mode": "max-autotune"}), ("default", {"mode": "default"}))
    }
    assert {cell.group for cell in compiled.values()} == {torch.group}
    assert compiled["max-autotune"].options == (("mode", "max-autotune"),)
    assert compiled["default"] == compiled[""]
    assert str(compiled["max-autotune"]).split()[1] == "torch-compile(mode=max-autotune)"
    short, long = (cells(scenarios=["server"], settings={"bound_s": text})[0] for text in ("0.1", "0.2"))
    assert short.group != long.group


@pytest.mark.parametrize(
    ("filters", "hint"),
    [
        ({"settings": {"bound": "1"}}, "no setting 'bound'; choose from length"),
        ({"settings": {"bound": "1"}, "scenarios": ["server"]}, "did you mean 'bound_s'?"),
        ({"settings": {"bound_s": "soon"}, "scenarios": ["server"]}, "-S bound_s=soon: expected `float | null`"),
        ({"settings": {"bound_s": "-1"}, "scenarios": ["server"]}, "-S bound_s=-1: expected `float` > 0"),
        ({"options": {"mode": "fast"}}, "torch-compile: -O mode=fast: invalid enum value 'fast'"),
        ({"options": {"mod": "default"}}, "did you mean 'mode'?"),
        ({"options": {"mode": "default"}, "backends": ["flax"]}, "can be set nothing"),
    ],
)
def test_what_cannot_be_set_is_one_line(filters: dict[str, Any], hint: str) -> None:
    with pytest.raises(WeighbridgeError) as error:
        cells(**filters)
    assert hint in str(error.value)
    assert "\n" not in str(error.value)
