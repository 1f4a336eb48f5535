"""The README's table claims no more than every run said."""

from __future__ import annotations

import pytest

from tests.conftest import make_record
from tests.experiments.readme import Group, table
from weighbridge.bench.analysis import ratios


def of_runs(*steps_s: float) -> list[Group]:
    """One cell in as many runs, in which the other backend's step was so long and the reference's 20 ms."""
    group: Group = {"torch": [], "flax": []}
    for step_s in steps_s:
        for row in ratios.rows([make_record("torch", 0.02), make_record("flax", step_s)], "torch"):
            group[row.record.cell.backend].append(row)
    return [group]


def test_a_ratio_of_too_few_quiet_blocks_is_none() -> None:
    group: Group = {"torch": [], "flax": []}
    for quiet in (12, 12, 1):
        crowded = [[turn >= quiet for turn in range(first, first + 4)] for first in (0, 4, 8)]
        changes = {"blocks": [[1] * 4] * 3, "crowded": crowded}
        ours = make_record("flax", [0.01 if quiet == 12 else 0.001] * 12, **changes)
        for row in ratios.rows([make_record("torch", [0.02] * 12, **changes), ours], "torch"):
            group[row.record.cell.backend].append(row)
    assert "| 2.00 in 2 of 3 UNSURE |" in table([group])
    assert "| – |" in table([{name: rows[2:] for name, rows in group.items()}])


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
