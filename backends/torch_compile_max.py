"""torch.compile as its experts tune it for inference: several ways to compile are timed, and the fastest is kept.

Which is fastest hangs on the model and on the processor: an AMD's Linear layers are faster by oneDNN, where shapes are
symbols, than by MKL (docs/processors.md). The ways are other backends with their options, so that each can be
weighed by itself. The first process of a cell tries them all, which its compilation time holds; later ones read what it
chose, and compile that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from weighbridge.backends.torch_compile import TorchCompile
from weighbridge.backends.torch_compile_freezing import TorchCompileFreezing
from weighbridge.backends.torch_compile_reduce_overhead import TorchCompileReduceOverhead
from weighbridge.backends.torch_nn import exporting
from weighbridge.bench.core import Arrays, Backend, Cell, Cost, ModelSpec, Session, Settings
from weighbridge.bench.core.arrays import content_hash
from weighbridge.bench.core.settings import Pairs, words

FEWEST_STEPS = 3
TRIED_S = 2.0
"""How long a way is timed, after it was compiled."""


class Way(NamedTuple):
    """A backend, and its options."""

    backend: type[Backend]
    options: Pairs = ()

    @property
    def name(self) -> str:
        """As a user would ask for it."""
        return " ".join([self.backend.name, *(f"-O {word}" for word in words(self.options))])


WAYS: dict[str, tuple[Way, ...]] = {
    "cpu": (
        Way(TorchCompile),
        Way(TorchCompileFreezing),
        Way(TorchCompileFreezing, (("dynamic", True),)),
        Way(TorchCompileFreezing, (("autotune", True),)),
    ),
    "cuda": (
        Way(TorchCompile),
        Way(TorchCompileReduceOverhead),
        Way(TorchCompile, (("mode", "max-autotune"),)),
    ),
}


class TorchCompileMax(TorchCompile):
    """The fastest of `WAYS`."""

    name = "torch-compile-max"
    Options = Settings

    def env(self, cell: Cell, cache: Path) -> dict[str, str]:
        """The compiler's, and a folder for what was chosen."""
        return {**super().env(cell, cache), **exporting.variables(cache)}

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Tries lazily: at the first step."""

        def opened(way: Way) -> Session:
            as_asked = msgspec.structs.replace(cell, backend=way.backend.name, options=way.options)
            return way.backend().open(model, weights, as_asked)

        key = content_hash([model.architecture, model.config, cell.scenario, cell.precision, cell.batch_size])
        return TunedSession(opened, WAYS[cell.device], Choice(key))


class Tried(msgspec.Struct, frozen=True):
    """What became of every way."""

    chosen: str = ""
    """The name of the fastest; empty where none was tried."""
    step_ms: dict[str, float | str] = {}
    """Milliseconds of the shortest step, or why there was none."""


class Choice:
    """What a process of this run tried, in a file beside the compiled programs."""

    def __init__(self, key: str) -> None:
        self.file = exporting.folder() / f"tried-{key}"

    def read(self) -> Tried:
        """What is known."""
        return msgspec.json.decode(self.file.read_bytes(), type=Tried) if self.file.exists() else Tried()

    def write(self, tried: Tried) -> None:
        """Remembers it."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(msgspec.json.encode(tried))


class TunedSession(Session):
    """A session of the way that was fastest at the first step."""

    def __init__(self, opened: Callable[[Way], Session], ways: tuple[Way, ...], choice: Choice) -> None:
        self.opened, self.choice = opened, choice
        self.ways = {way.name: way for way in ways}
        self.tried = choice.read()
        self.session = opened(self.ways.get(self.tried.chosen, ways[0]))

    def to_device(self, batch: Arrays) -> Any:
        """The same for every way."""
        return self.session.to_device(batch)

    def step(self, x: Any) -> Any:
        """The first one chooses."""
        if self.tried.chosen not in self.ways:
            self.choose(x)
        return self.session.step(x)

    def choose(self, x: Any) -> None:
        """Times every way on this batch; one that fails is out, and says why."""
        found: dict[str, float | str] = {}
        for name, way in self.ways.items():
            try:
                self.session.close()
                self.session = self.opened(way)
                found[name] = round(_fastest_s(self.session, x) * 1e3, 4)
            except Exception as error:  # noqa: BLE001 -- whatever a compiler raises, the others remain
                found[name] = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
        times = {name: taken for name, taken in found.items() if isinstance(taken, float)}
        if not times:
            raise RuntimeError(f"no way compiles: {found}")
        self.tried = Tried(min(times, key=lambda name: times[name]), found)
        self.choice.write(self.tried)
        self.session.close()
        self.session = self.opened(self.ways[self.tried.chosen])

    def sync(self, y: Any) -> None:
        """As the chosen way does."""
        self.session.sync(y)

    def to_host(self, y: Any) -> Arrays:
        """As the chosen way does."""
        return self.session.to_host(y)

    def reset_peak_memory(self) -> bool:
        """As the chosen way does."""
        return self.session.reset_peak_memory()

    def device_peak_bytes(self) -> int | None:
        """Of the chosen way."""
        return self.session.device_peak_bytes()

    def device_reserved_bytes(self) -> int | None:
        """Of the chosen way."""
        return self.session.device_reserved_bytes()

    def cost(self, x: Any) -> Cost | None:
        """Eager's count holds for the same model."""
        return None

    def programs(self) -> int | None:
        """Of the chosen way."""
        return self.session.programs()

    def facts(self) -> dict[str, Any]:
        """The chosen way's, and what was tried: milliseconds of a step, or why there was none."""
        return {**self.session.facts(), "chosen": self.tried.chosen, "tried": self.tried.step_ms}

    def close(self) -> None:
        """Gives everything back."""
        self.session.close()


def _fastest_s(session: Session, x: Any) -> float:
    """The shortest step, of some two seconds, after the one that compiles."""
    session.sync(session.step(x))
    taken: list[float] = []
    while len(taken) < FEWEST_STEPS or sum(taken) < TRIED_S:
        begin = session.clock()
        session.sync(session.step(x))
        taken.append(session.clock() - begin)
    return min(taken)
