"""Which way to compile is kept: the fastest of those that work, for the whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import nouns
from weighbridge.backends.torch_compile import TorchCompile
from weighbridge.backends.torch_compile_freezing import TorchCompileFreezing
from weighbridge.backends.torch_compile_max import WAYS, Choice, TunedSession, Way
from weighbridge.backends.torch_nn import exporting
from weighbridge.bench.core import Arrays, Session

PLAIN, FROZEN, FROZEN_ANY = (
    Way(TorchCompile),
    Way(TorchCompileFreezing),
    Way(TorchCompileFreezing, (("dynamic", True),)),
)
STEP_S = {PLAIN: 3.0, FROZEN: 1.0, FROZEN_ANY: 2.0}


class Timed(Session):
    """Steps of a known length on a clock of its own; the first compiles, or fails."""

    open: list[Way] = []

    def __init__(self, way: Way, fails: bool) -> None:
        self.way, self.fails, self.now, self.steps = way, fails, 0.0, 0
        self.open.append(way)

    def to_device(self, batch: Arrays) -> Any:
        return batch

    def step(self, x: Any) -> Way:
        if self.fails:
            raise RuntimeError("does not compile\nand says much more")
        self.now += STEP_S[self.way] if self.steps else 100.0
        self.steps += 1
        return self.way

    def sync(self, y: Any) -> None:
        pass

    def to_host(self, y: Any) -> Arrays:
        return {}

    def clock(self) -> float:
        return self.now

    def close(self) -> None:
        self.open.remove(self.way)


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(exporting.FOLDER, str(tmp_path / "kept"))
    exporting.folder.cache_clear()
    Timed.open = []
    yield
    exporting.folder.cache_clear()


def tuned(*failing: Way, key: str = "one") -> TunedSession:
    return TunedSession(lambda way: Timed(way, way in failing), tuple(STEP_S), Choice(key))


def test_the_fastest_is_kept_and_nothing_else_is_left_open() -> None:
    session = tuned()
    assert session.step({}) is FROZEN
    assert Timed.open == [FROZEN]
    assert session.tried.step_ms == {"torch-compile": 3000.0, "torch-compile-freezing": 1000.0,
                             "torch-compile-freezing -O dynamic=true": 2000.0}  # fmt: skip
    assert session.facts()["chosen"] == "torch-compile-freezing"


def test_what_fails_is_out_and_says_why() -> None:
    session = tuned(FROZEN)
    assert session.step({}) is FROZEN_ANY
    assert session.tried.step_ms["torch-compile-freezing"] == "RuntimeError: does not compile"


def test_where_nothing_compiles_all_is_told() -> None:
    with pytest.raises(RuntimeError, match=r"no way compiles.*does not compile"):
        tuned(*STEP_S).step({})


def test_a_later_process_tries_nothing_and_another_cell_tries_anew() -> None:
    first = tuned()
    first.step({})
    later = tuned(*(way for way in STEP_S if way is not FROZEN))
    assert later.step({}) is FROZEN
    assert later.tried == first.tried
    assert tuned(FROZEN, key="two").step({}) is FROZEN_ANY


def test_each_way_can_be_asked_for_by_itself() -> None:
    for device, ways in WAYS.items():
        for way in ways:
            backend = nouns.backend(way.backend.name)
            assert device in backend.devices
            assert {name for name, _ in way.options} <= set(backend.Options.__struct_fields__)
