"""torch.compile with CUDA graphs: a program's kernels are launched as one, as XLA's command buffers do."""

from __future__ import annotations

from typing import Any

from weighbridge.backends.torch_compile import CompiledSession, TorchCompile
from weighbridge.bench.core import Cell, Settings


class TorchCompileReduceOverhead(TorchCompile):
    """Inductor with `mode="reduce-overhead"`. A CUDA graph holds one shape, so a program does, too."""

    name = "torch-compile-reduce-overhead"
    devices = ("cuda",)
    program_a_shape = True
    Options = Settings
    arguments = {"mode": "reduce-overhead", "dynamic": False}

    def session(self, module: Any, cell: Cell, function: Any) -> CompiledSession:
        """One that replays graphs."""
        return ReplayedSession(module, cell, function)


class ReplayedSession(CompiledSession):
    """Its outputs lie where the next replay writes, so each step's are copied: a caller may still hold the last."""

    def infer(self, x: dict[str, Any]) -> Any:
        """Names -> tensors of their own."""
        return {name: tensor.clone() for name, tensor in super().infer(x).items()}
