"""torch.compile with inductor: eager's module and session, with a compiled forward pass.

Its caches live in the folder that the run hands it, so that a first process compiles cold and a second finds
the programs. Graph breaks are counted by dynamo itself and recorded. Generation uses transformers' static
cache, since a cache that grows would recompile at every token.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from backends.torch_eager import DISTRIBUTIONS, OOM_SIGNS, REQUIRES, TorchEager, TorchSession, load
from bench.core import Backend, Cell, Cost, ModelSpec, Session


class TorchCompile(Backend):
    """Inductor."""

    name = "torch-compile"
    extra = "torch"
    requires = REQUIRES
    distributions = DISTRIBUTIONS
    devices = TorchEager.devices
    scenarios = TorchEager.scenarios
    precisions = TorchEager.precisions
    compiles = True
    oom_signs = OOM_SIGNS
    dynamic: ClassVar[bool | None] = None
    """As `torch.compile` takes it. None: a program for the first shape, one for any shape when the second comes."""

    def why_not(self, cell: Cell) -> str | None:
        """As eager."""
        return TorchEager().why_not(cell)

    def env(self, cell: Cell, cache: Path) -> dict[str, str]:
        """Eager's, with inductor's and triton's caches in `cache`."""
        caches = {"TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"), "TRITON_CACHE_DIR": str(cache / "triton")}
        return {**TorchEager().env(cell, cache), **caches}

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Compiles lazily: at the first step."""
        import torch

        from backends.torch_nn import models as torch_models

        module = load(model, weights, cell)
        if cell.scenario == "generate":
            module.forward = torch.compile(module.forward, dynamic=self.dynamic)
        return CompiledSession(module, cell, torch.compile(torch_models.forward(model), dynamic=self.dynamic))


class CompiledSession(TorchSession):
    """Adds what dynamo counted."""

    generate_options = {"cache_implementation": "static"}

    def cost(self, x: dict[str, Any]) -> Cost | None:
        """The counter does not see into a compiled program; eager's count holds for the same model."""
        return None

    def programs(self) -> int:
        """As dynamo counts them, recompilations among them."""
        from torch._dynamo.utils import counters

        return int(counters["stats"]["unique_graphs"])

    def attention(self) -> list[str]:
        """Not told: to listen would compile anew."""
        return []

    def facts(self) -> dict[str, Any]:
        """Eager's, and how the program was cut."""
        from torch._dynamo.utils import counters
        from torch._inductor import config

        return {
            **super().facts(),
            "compile_scope": "forward",
            "cuda_graphs": self.cell.device == "cuda" and config.triton.cudagraphs,
            "graphs": counters["stats"]["unique_graphs"],
            "frames_left_to_eager": counters["frames"]["total"] - counters["frames"]["ok"],
            "graph_breaks": sum(counters["graph_break"].values()),
            "graph_break_reasons": [str(reason)[:200] for reason in counters["graph_break"]][:5],
        }
