"""Buckets: the best set against every set there is, on costs that are drawn."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.bench.scenarios.varying_shapes.buckets import (
    Shape,
    best,
    bucket,
    fitted,
    powers_of_two,
    total_s,
    waste,
)

SHAPES = st.lists(st.builds(Shape, st.integers(1, 4), st.integers(1, 9)), min_size=1, max_size=12)


def step_s(shape: Shape) -> float:
    return 0.1 + 0.02 * shape.positions + 0.003 * shape.positions * shape.length


@given(batches=SHAPES, compile_s=st.sampled_from([0.0, 0.05, 0.5, 5.0, 500.0]), passes=st.integers(1, 30))
def test_no_other_set_is_better(batches: list[Shape], compile_s: float, passes: int) -> None:
    found = best(batches, step_s, compile_s, passes)
    lengths = sorted({batch.length for batch in batches})
    others = [
        [*some, lengths[-1]] for count in range(len(lengths)) for some in combinations(lengths[:-1], count)
    ]  # fmt: skip
    least = min(total_s(batches, other, step_s, compile_s, passes) for other in others)
    assert total_s(batches, found, step_s, compile_s, passes) == pytest.approx(least)
    assert found == sorted(set(found))
    assert found[-1] == lengths[-1]


def test_without_a_price_every_length_is_a_bucket_and_at_a_high_one_there_is_one() -> None:
    batches = [Shape(2, length) for length in (3, 5, 8, 8)]
    assert best(batches, step_s, 0.0, 1) == [3, 5, 8]
    assert best(batches, step_s, 1e6, 1) == [8]
    assert best(batches, step_s, 5.0, 1) == [8]
    assert best(batches, step_s, 5.0, 1000) == [3, 5, 8]


@given(SHAPES)
def test_a_bucket_holds_its_rows(batches: list[Shape]) -> None:
    lengths = powers_of_two(max(batch.length for batch in batches))
    assert all(bucket(batch.length, lengths) >= batch.length for batch in batches)
    assert lengths[-1] < 2 * max(16, max(batch.length for batch in batches))
    assert [bucket(batch.length, []) for batch in batches] == [batch.length for batch in batches]


def test_waste_is_the_share_that_holds_no_token() -> None:
    assert waste(30, [Shape(2, 10), Shape(4, 10)]) == pytest.approx(0.5)
    assert waste(20, [Shape(2, 10)]) == 0


@given(
    fixed=st.floats(0.001, 1), linear=st.floats(1e-5, 1e-2), pairs=st.floats(0, 1e-4), shapes=st.lists(
        st.builds(Shape, st.integers(1, 8), st.integers(1, 256)), min_size=6, max_size=30, unique=True
    ),
)  # fmt: skip
def test_a_fit_finds_what_it_was_made_of(fixed: float, linear: float, pairs: float, shapes: list[Shape]) -> None:
    def true_s(shape: Shape) -> float:
        return fixed + linear * shape.positions + pairs * shape.positions * shape.length

    found = fitted(shapes, [true_s(shape) for shape in shapes])
    for shape in shapes:
        assert found(shape) == pytest.approx(true_s(shape), rel=0.05)
