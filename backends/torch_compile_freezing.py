"""torch.compile with frozen weights: inductor makes them constants, folds them, and lays them as oneDNN wants them.

It is torch's counterpart to a twin that lays its weights anew at open. Programs with constants are not kept in
inductor's cache, so that a warm process compiles nearly everything again, all but the C++.
"""

from __future__ import annotations

from typing import Any

from backends.torch_compile import CompiledSession, TorchCompile
from bench.core import Cell, Settings

FROZEN = "frozen by inductor"
LAID = "laid anew by oneDNN"


class TorchCompileFreezing(TorchCompile):
    """Inductor with `freezing`."""

    name = "torch-compile-freezing"
    Options = Settings  # a mode and options exclude each other
    arguments = {"options": {"freezing": True}}  # tells its programs from those that are not frozen

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
        constants = self.frozen_constants()
        laid = any(constant.is_mkldnn for constant in constants)
        return {
            **super().facts(),
            "prepacked": [FROZEN] * bool(constants) + [LAID] * laid,
            "frozen_constants": len(constants),
        }

    def frozen_constants(self) -> list[Any]:
        """Weights that programs which were loaded since hold as constants."""
        from torch._inductor.codecache import PyCodeCache

        held = [pair for program in PyCodeCache.modules[self.loaded_before :] for pair in vars(program).items()]
        return [value for name, value in held if name.startswith("_frozen_param")]
