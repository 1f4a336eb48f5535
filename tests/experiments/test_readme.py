"""The README's table claims no more than every run said."""

from __future__ import annotations

import pytest

from bench.analysis import ratios
from tests.conftest import make_record
from tests.experiments.readme import Group, table


def of_runs(*steps_s: float) -> list[Group]:
    """One cell in as many runs, in which the other backend's step was so long and the reference's 20 ms."""
    group: Group = {"torch": [], "flax": []}
    for step_s in steps_s:
        for row in ratios.rows([make_record("torch", 0.02), make_record("flax", step_s)], "torch"):
            group[row.record.cell.backend].append(row)
    return [group]


@pytest.mark.parametrize(
    ("steps_s", "said"),
    [
        ((0.01, 0.01), "| 2.00 |"),
        ((0.01, 0.01, 0.008), "| 2.00 to 2.50 FASTER |"),
        ((0.01, 0.01, 0.04), "| 0.50 to 2.00 UNSURE |"),
    ],
)
def test_a_word_stands_where_three_runs_said_it(steps_s: tuple[float, ...], said: str) -> None:
    heading, _, line, means = table(of_runs(*steps_s)).splitlines()
    assert "flax : torch" in heading
    assert said in line
    assert "geometric mean" in means
