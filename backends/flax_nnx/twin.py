"""What a twin's file offers, declared; and how a twin is built without drawing a weight.

A file must hold `build` and `forward`. What else it may hold stands here with what holds where it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple

import jax
from flax import nnx

from weighbridge.bench.core import Cell

WEIGHTS = (nnx.Param, nnx.BatchStat)
"""Types of variables whose values the bridge brings. Everything else a twin makes itself."""
Outputs = dict[str, jax.Array]


def as_it_is(module: Any, cell: Cell) -> list[str]:
    """The default `Twin.prepare`: change nothing."""
    return []


class Generation(NamedTuple):
    """Decoding in programs: prompts to a first token and a cache, more room in that cache, and stretches of tokens."""

    prefill: Callable[..., Any]
    grow: Callable[..., Any]
    decode: Callable[..., Any]


@dataclass(frozen=True)
class Twin:
    """A twin of one architecture.

    `build(config, rngs)` makes the module from the reference's own configuration, and refuses what it does not honour.
    `forward(module, inputs)` returns named outputs; pure but for the module's own state.
    `prepare(module, cell)` may lay loaded weights anew for a cell, and says what it did.
    `sample(module, inputs)` makes whole samples, such as images; a `generation` makes texts.
    `mutants` are mistakes that ports of the architecture make: each puts one into a loaded module, in place.
    """

    build: Callable[[dict[str, Any], nnx.Rngs], Any]
    forward: Callable[[Any, dict[str, jax.Array]], Outputs]
    prepare: Callable[[Any, Cell], list[str]] = as_it_is
    sample: Callable[[Any, dict[str, jax.Array]], Outputs] | None = None
    generation: Generation | None = None
    mutants: Mapping[str, Callable[[Any], None]] = field(default_factory=dict[str, Callable[[Any], None]])

    @classmethod
    def of(cls, source: ModuleType) -> Twin:
        """Return what a file offers."""
        offered = vars(source)
        said = {name: offered[name] for name in ("prepare", "sample") if name in offered}
        generates = all(name in offered for name in Generation._fields)
        generation = Generation(*(offered[name] for name in Generation._fields)) if generates else None
        said |= {"generation": generation, "mutants": offered.get("MUTANTS", {})}
        return cls(offered["build"], offered["forward"], **said)

    def run(
        self, module: Any, inputs: dict[str, jax.Array], *, train: bool = False, rngs: nnx.Rngs | None = None
    ) -> Outputs:
        """`forward`, in the mode that is asked for; `rngs` starts the streams of its dropouts anew."""
        _ = module.train() if train else module.eval()
        if rngs is not None:
            keys: dict[str, Any] = {name: stream() for name, stream in rngs.items()}
            nnx.reseed(module, policy="match_shape", **keys)
        return self.forward(module, inputs)


def streams(seed: int) -> nnx.Rngs:
    """Streams by name, so that those of dropouts can be started anew without touching others."""
    return nnx.Rngs(params=seed, dropout=seed)


def built(build: Callable[[], Any]) -> Any:
    """The module with abstract weights, which cost nothing; all else (streams, tables, constants) with its values."""
    module = nnx.eval_shape(build)
    graph, weights, others = nnx.split(module, WEIGHTS, ...)
    if not jax.tree.leaves(others):
        return module
    return nnx.merge(graph, weights, jax.jit(lambda: nnx.split(build(), WEIGHTS, ...)[2])())
