"""Effective footing, read back from torch, from the module and from its libraries."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from weighbridge.bench.core import Cell


def of_the_process(cell: Cell) -> dict[str, Any]:
    """What torch computes with, and how, as torch itself says."""
    import torch

    on_device = cell.device == "cuda"
    half = torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    return {
        "reduced_precision_reduction": half if on_device else None,
        "threads": torch.get_num_threads(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark if on_device else None,
        "allocator": torch.cuda.get_allocator_backend() if on_device else "system",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        **libraries(torch.__config__.show()),
    }


def libraries(built_with: str) -> dict[str, str]:
    """BLAS and oneDNN with their versions, out of what `torch.__config__.show()` says; else BLAS by its bare name."""
    lines = [line.strip(" -") for line in built_with.splitlines()]
    blas = next((line.partition(" for ")[0] for line in lines if "Math Kernel Library" in line), None)
    bare = re.search(r"BLAS_INFO=(\w+)", built_with)
    return {
        "blas": blas or (bare[1] if bare else "unknown"),
        "onednn": next((line.partition(" (")[0] for line in lines if "MKL-DNN v" in line), "none"),
    }


def layout(module: Any) -> str:
    """How the weights lie whose layout has a choice: those of convolutions."""
    import torch

    weights = [weight for weight in module.parameters() if weight.ndim == 4]
    if not weights:
        return "no 4-d weights"
    if all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights):
        return "channels_last"
    return "contiguous" if all(weight.is_contiguous() for weight in weights) else "mixed"


def attention_of(call: Callable[[], object]) -> list[str]:
    """Which of torch's attention kernels a call dispatches to, as torch itself says."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    seen: set[str] = set()

    class Listener(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.update(name for name in (func.__name__.partition(".")[0],) if "attention" in name)
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Listener():  # in inference mode a listener hears only the function of all
        call()
    return sorted(name.removeprefix("_scaled_dot_product_") for name in seen)
