"""torch.compile with inductor: eager's module and session, with a compiled forward pass.

Its caches live in the folder that the run hands it, so that a first process compiles cold and a second finds
the programs. The header that inductor compiles once lies in the temporary folder and not among them, so the temporary
folder is there, too. Graph breaks are counted by dynamo itself and recorded. Generation uses a static cache, since a
cache that grows would recompile at every token, and it is the session that compiles: transformers would on a device.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from weighbridge.backends.torch_eager import (
    CAMP,
    DISTRIBUTIONS,
    IMPORT_FIXES,
    OOM_SIGNS,
    REQUIRES,
    TorchEager,
    imports,
)
from weighbridge.backends.torch_nn.loading import load
from weighbridge.backends.torch_nn.session import TorchSession
from weighbridge.bench.core import Backend, Cell, Cost, ModelSpec, Session, Settings

COMPILER = "torch._inductor.compile_fx"


class CompileOptions(Settings, frozen=True, kw_only=True):
    """Of `torch.compile`."""

    mode: Literal["default", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune"] = "default"


class TorchCompile(Backend):
    """Inductor. It makes a program for the first shape and, when a second comes, one for any shape."""

    name = "torch-compile"
    extra = "torch"
    requires = REQUIRES
    distributions = DISTRIBUTIONS
    devices = TorchEager.devices
    scenarios = TorchEager.scenarios
    precisions = TorchEager.precisions
    compiles = True
    program_a_shape = False
    camp = CAMP
    oom_signs = OOM_SIGNS
    import_fixes = IMPORT_FIXES
    Options = CompileOptions
    arguments: ClassVar[dict[str, Any]] = {}
    """As `torch.compile` takes them, beside the options of the cell."""

    def why_not(self, cell: Cell) -> str | None:
        """As eager, on fewer devices where this backend names fewer."""
        return TorchEager().why_not(cell) or super().why_not(cell)

    def env(self, cell: Cell, cache: Path) -> dict[str, str]:
        """Eager's, with inductor's and triton's caches in `cache`, and what is temporary: the compiled header."""
        temporary = cache / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)  # Python goes elsewhere where there is none
        return {
            **TorchEager().env(cell, cache),
            "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
            "TRITON_CACHE_DIR": str(cache / "triton"),
            "TMPDIR": str(temporary),
        }

    def imports(self, model: ModelSpec) -> tuple[str, ...]:
        """Eager's, and the compiler."""
        return *imports(model), COMPILER

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Compiles lazily: at the first step. The compiler is imported here: that is no part of compilation."""
        import torch

        from weighbridge.backends.torch_nn import models as torch_models

        import_module(COMPILER)
        module = load(model, weights, cell)
        arguments = self.arguments_of(cell)
        step = torch_models.stepping(model, cell.scenario)
        if step is not None and cell.scenario == "infer":
            step = torch.compile(step, **arguments)
        else:  # loops stay Python's, around a compiled forward pass
            module.forward = torch.compile(module.forward, **arguments)
        return self.session(module, cell, step)

    def arguments_of(self, cell: Cell) -> dict[str, Any]:
        """What `torch.compile` is told."""
        return {**dict(cell.options), **self.arguments}

    def session(self, module: Any, cell: Cell, function: Any) -> CompiledSession:
        """A session of this backend's kind."""
        return CompiledSession(module, cell, function)


class CompiledSession(TorchSession):
    """Adds what dynamo counted."""

    def __init__(self, module: Any, cell: Cell, function: Any) -> None:
        from weighbridge.backends.torch_nn.static_cache import StaticCaches

        super().__init__(module, cell, function)
        self.caches = StaticCaches(module)
        self.programs_before = _programs()

    def generate_options(self, x: dict[str, Any]) -> dict[str, Any]:
        """One static cache for all calls, and no compilation by transformers around ours."""
        rows, length = x["input_ids"].shape
        return {"past_key_values": self.caches.emptied(rows, length + x["new_tokens"]), "disable_compile": True}

    def cost(self, x: dict[str, Any]) -> Cost | None:
        """The counter does not see into a compiled program; eager's count holds for the same model."""
        return None

    def close(self) -> None:
        """Gives the programs back."""
        self.torch._dynamo.reset()

    def programs(self) -> int:
        """As dynamo counts them, recompilations among them."""
        return _programs() - self.programs_before

    def attention(self) -> list[str]:
        """Not told: to listen would compile anew."""
        return []

    def facts(self) -> dict[str, Any]:
        """Eager's, and how the program was cut, and by whom."""
        from torch._dynamo.utils import counters

        by_transformers = "_compiled_call" in vars(self.module)  # where `generate` keeps what it compiled itself
        return {
            **super().facts(),
            "compile_scope": "forward",
            "compiled_by": "transformers" if by_transformers else "the backend",
            "toolchain_s": header_s(),
            **cuda_graphs(self.cell),
            "graphs": self.programs(),
            "frames_left_to_eager": counters["frames"]["total"] - counters["frames"]["ok"],
            "graph_breaks": sum(counters["graph_break"].values()),
            "graph_break_reasons": [str(reason)[:200] for reason in counters["graph_break"]][:5],
        }


def _programs() -> int:
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def header_s() -> float | None:
    """Seconds in which the C++ compiler made the header that every CPU program includes, by its files' own clocks.

    It is made once a cold cache. None where no program needed one.
    """
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    texts = Path(default_cache_dir(), "precompiled_headers").glob("*.h")
    pairs = [(text, made) for text in texts for made in text.parent.glob(f"{text.name}.?ch")]
    return round(sum(made.stat().st_mtime - text.stat().st_mtime for text, made in pairs), 3) if pairs else None


def cuda_graphs(cell: Cell) -> dict[str, Any]:
    """What inductor recorded and replays, whoever asked for it, and how often it declined."""
    from torch._dynamo.utils import counters

    recorded = recorded_graphs() if cell.device == "cuda" else 0
    return {
        "cuda_graphs": recorded > 0,
        "cuda_graphs_recorded": recorded,
        "cuda_graphs_skipped": int(counters["inductor"]["cudagraph_skips"]),
    }


def recorded_graphs() -> int:
    """CUDA graphs in the trees of the current device."""
    import torch
    from torch._inductor.cudagraph_trees import get_manager

    manager = get_manager(torch.cuda.current_device(), create_if_none_exists=False)
    return 0 if manager is None else sum(map(_size, manager.roots.values()))


def _size(nodes: list[Any]) -> int:
    return len(nodes) + sum(_size(children) for node in nodes for children in node.children.values())
