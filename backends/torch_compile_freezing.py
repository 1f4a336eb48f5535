"""torch.compile with frozen weights: inductor makes them constants, folds them, and has a library lay them anew.

Which library does a linear layer in float32 goes by the batch's size: MKL where inductor knows it, oneDNN where it is
a symbol (torch 2.13.0, `_inductor/fx_passes/mkldnn_fusion.py`). On an AMD with AVX-512 oneDNN is twice as fast, and the
option `dynamic` halves MiniLM's step (docs/processors.md).

It is torch's counterpart to a twin that lays its weights anew at open. Programs with constants are not kept in
inductor's cache, so that a warm process compiles nearly everything again, all but the C++.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from weighbridge.backends.torch_compile import CompiledSession, TorchCompile
from weighbridge.bench.core import Cell, Settings

FROZEN = "frozen by inductor"
LAID = {"torch.ops.mkl.": "laid anew by MKL", "torch.ops.mkldnn.": "laid anew by oneDNN"}
"""What a program calls where its weights lie as a library wants them."""


class FreezingOptions(Settings, frozen=True, kw_only=True):
    """Of `torch.compile`; a mode and the options that freeze exclude each other."""

    dynamic: bool = False
    autotune: bool = False
    """Times inductor's own products in C++ against the library's: `max_autotune`."""


class Frozen(NamedTuple):
    """A program that was loaded: its text, and the weights that it holds as constants."""

    text: str
    constants: list[Any]

    def laid(self) -> set[str]:
        """By whom weights were laid anew."""
        packed = any(constant.is_mkldnn for constant in self.constants)
        return {by for call, by in LAID.items() if packed and call in self.text}


class TorchCompileFreezing(TorchCompile):
    """Inductor with `freezing`."""

    name = "torch-compile-freezing"
    Options = FreezingOptions

    def arguments_of(self, cell: Cell) -> dict[str, Any]:
        """`freezing` among the options tells its programs from those that are not frozen."""
        asked = dict(cell.options)
        tuned = {"max_autotune": True} if asked.pop("autotune", False) else {}
        return {**asked, "options": {"freezing": True, **tuned}}

    def session(self, module: Any, cell: Cell, function: Any) -> CompiledSession:
        """One that freezes."""
        return FrozenSession(module, cell, function)


class FrozenSession(CompiledSession):
    """Freezes while it is open: dynamo asks the process's configuration when it traces, not the options of a call."""

    def __init__(self, module: Any, cell: Cell, function: Any) -> None:
        from torch._inductor import config
        from torch._inductor.codecache import PyCodeCache

        super().__init__(module, cell, function)
        self.was, config.freezing = config.freezing, True
        self.loaded_before = len(PyCodeCache.modules)

    def close(self) -> None:
        """Leaves the configuration as it was."""
        from torch._inductor import config

        super().close()
        config.freezing = self.was

    def facts(self) -> dict[str, Any]:
        """Adds what was frozen, read back from the programs that were loaded."""
        programs = [*self.frozen()]
        count = sum(len(program.constants) for program in programs)
        laid = set[str]().union(*(program.laid() for program in programs))
        return {
            **super().facts(),
            "prepacked": [FROZEN] * bool(count) + sorted(laid),
            "frozen_constants": count,
        }

    def frozen(self) -> Iterator[Frozen]:
        """The programs that were loaded since."""
        from torch._inductor.codecache import PyCodeCache

        for program in PyCodeCache.modules[self.loaded_before :]:
            assert program.__file__ is not None
            constants = [value for name, value in vars(program).items() if name.startswith("_frozen_param")]
            yield Frozen(Path(program.__file__).read_text(), constants)
