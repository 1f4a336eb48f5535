"""Settings, from what a user types to what a cell holds and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_cell
from weighbridge.bench.core import Settings, WeighbridgeError, settings


class Toy(Settings, frozen=True, kw_only=True):
    """One of each type."""

    count: int = 3
    share: float | None = None
    name: str = ""
    loud: bool = False


toys = st.builds(
    Toy, count=st.integers(-9, 9), share=st.none() | st.floats(-1e9, 1e9), name=st.text(max_size=9), loud=st.booleans()
)  # fmt: skip


@given(toys)
def test_what_is_written_is_read(toy: Toy) -> None:
    written = settings.pairs(toy)
    assert settings.of(Toy, written) == toy
    assert hash(make_cell(settings=written)) == hash(make_cell(settings=settings.pairs(toy)))


@given(toys)
def test_what_is_typed_is_what_was_meant(toy: Toy) -> None:
    typed = {name: repr(value) if isinstance(value, float) else settings.text(value)
             for name, value in settings.pairs(toy)}  # fmt: skip
    if toy.name.strip().lower() not in ("null", ""):
        assert settings.parse(Toy, typed, "-S") == toy


def test_defaults_are_not_written() -> None:
    assert settings.pairs(settings.parse(Toy, {"count": "3", "loud": "false"}, "-S")) == ()
    assert settings.pairs(settings.parse(Toy, {"share": "1", "count": "4"}, "-S")) == (("count", 4), ("share", 1.0))


@pytest.mark.parametrize("word", ["bound_s", "=1", ""])
def test_a_word_that_is_no_pair_is_one_line(word: str) -> None:
    with pytest.raises(WeighbridgeError, match="-S takes key=value"):
        settings.typed("-S", [word])


def test_a_value_may_hold_an_equals_sign() -> None:
    assert settings.typed("-S", ["name=a=b", " count = 2"]) == {"name": "a=b", "count": "2"}


def test_a_cell_says_its_settings_and_its_options() -> None:
    cell = make_cell("torch", settings=(("bound_s", 0.1),), options=(("loud", True), ("mode", "x")))
    assert str(cell) == "tabular-regression[small] torch(loud=true, mode=x) infer fp32 b8 cpu bound_s=0.1"
    assert not cell.is_reference("torch")
    assert make_cell("torch").is_reference("torch")
