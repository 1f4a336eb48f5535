"""The second ratio: to the best right row of the reference's camp."""

import pytest

from tests.conftest import make_record
from weighbridge.bench.analysis import ratios
from weighbridge.bench.core.record import Parity, Record


def of_camp(backend: str, step_s: float | list[float], camp: str = "torch", **changes: object) -> Record:
    return make_record(backend, step_s, **{"facts": {**make_record().facts, "camp": camp}, **changes})


def best_of(*records: Record) -> list[tuple[str, float | None, str | None]]:
    rows = ratios.rows(records, "torch")
    return [(row.best, row.best_ratio and round(row.best_ratio, 3), row.best_verdict) for row in rows]


def test_every_row_is_held_against_the_best_of_the_references_camp() -> None:
    records = [of_camp("torch", 0.02), of_camp("flax", 0.01, "jax"), of_camp("compiled", 0.0125), of_camp("slow", 0.03)]
    assert best_of(*records) == [
        ("compiled", 0.625, "SLOWER"),
        ("compiled", 1.25, "FASTER"),
        ("compiled", 1.0, None),
        ("compiled", 0.417, "SLOWER"),
    ]


def test_where_the_reference_is_its_camps_best_both_ratios_are_one() -> None:
    assert best_of(of_camp("torch", 0.02), of_camp("flax", 0.01, "jax"), of_camp("compiled", 0.03)) == [
        ("torch", 1.0, None),
        ("torch", 2.0, "FASTER"),
        ("torch", 0.667, "SLOWER"),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"score": {"r2": 0.1}},
        {"parity": Parity(ratio=9.0, limit=2.0, passed=False)},
        {"status": "implausible", "reason": "beyond the roof"},
        {"facts": {**make_record().facts, "camp": "torch", "threads": 64}},
    ],
)
def test_what_is_wrong_or_unequal_is_no_camps_best(changes: dict[str, object]) -> None:
    found = best_of(of_camp("torch", 0.02), of_camp("flax", 0.01, "jax"), of_camp("compiled", 0.001, **changes))
    assert [best for best, _, _ in found] == ["torch", "torch", ""]


def test_records_that_name_no_camp_have_no_second_ratio() -> None:
    assert best_of(make_record("torch", 0.02), make_record("flax", 0.01)) == [("", None, None)] * 2
