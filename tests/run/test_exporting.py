"""Who exports to a format, and at how many rows at a time it is proven."""

from __future__ import annotations

import pytest

from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.core.card import BackendCard
from weighbridge.bench.run import cards, exporting

CARDS = {
    "able": BackendCard(name="able", module="a", formats=("both", "own")),
    "absent": BackendCard(name="absent", module="b", extra="more", requires=("no_such_package",), formats=("far",)),
    "hidden": BackendCard(name="hidden", module="c", formats=("secret",), hidden=True),
    "none": BackendCard(name="none", module="d"),
    "zero": BackendCard(name="zero", module="e", reference=True, formats=("both", "far")),
}


@pytest.fixture(autouse=True)
def backends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "backends", lambda: CARDS)


def test_the_reference_stands_first_and_what_is_hidden_nowhere() -> None:
    found = {form: [card.name for card in offering] for form, offering in exporting.formats().items()}
    assert found == {"both": ["zero", "able"], "far": ["zero", "absent"], "own": ["able"]}


def test_the_first_that_is_installed_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert exporting.offering("both").name == "zero"
    assert exporting.offering("both", "able").name == "able"
    monkeypatch.setitem(CARDS, "zero", BackendCard(name="zero", module="e", requires=("gone",), formats=("both",)))
    assert exporting.offering("both").name == "able"


@pytest.mark.parametrize(
    ("form", "backend", "told"),
    [
        ("bth", "", "no format 'bth'; did you mean 'both'?"),
        ("secret", "", "no format 'secret'; choose from both, far, own"),
        ("own", "none", "none does not export to own; choose --backend from able"),
        ("own", "abel", "did you mean 'able'?"),
        ("far", "absent", r"absent needs no_such_package; type: python -m pip install 'weighbridge\[more\]'"),
    ],
)
def test_who_cannot_is_a_line(form: str, backend: str, told: str) -> None:
    with pytest.raises(WeighbridgeError, match=told):
        exporting.offering(form, backend)


@pytest.mark.parametrize(("size", "numbers"), [(32, [32, 31, 1]), (2, [2, 1]), (1, [1, 2])])
def test_a_file_is_proven_at_other_numbers_of_rows_than_it_was_made_for(size: int, numbers: list[int]) -> None:
    assert exporting.numbers_of_rows(size) == numbers
