"""A reference module as a cell wants it: its precision, its weights, its device. Nothing is imported before it is used.

Precision is set, never assumed: torch keeps float32 for matrix products but lets cuDNN convolutions use TF32
(measuring rule 11), so `fp32` turns that off and `tf32` turns both on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weighbridge.bench.core import Cell, ModelSpec, Precision


def torch_dtype(precision: str) -> Any:
    """The dtype that weights and activations are held in."""
    import torch

    return {"fp64": torch.float64, "bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)


def set_precision(precision: Precision) -> None:
    """Makes this process compute at this precision, and says so to every library underneath."""
    import torch

    allow_tf32 = precision == "tf32"
    torch.set_float32_matmul_precision("high" if allow_tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = allow_tf32


def load(model: ModelSpec, weights: Path, cell: Cell) -> Any:
    """A module in eval mode that holds `weights`, at the cell's precision and on its device.

    There cuDNN tries its convolutions and keeps the fastest, as XLA does; the oracle is made on the CPU.
    """
    import torch
    from safetensors.numpy import load_file

    from weighbridge.backends.torch_nn import models as torch_models
    from weighbridge.backends.torch_nn import tf32

    set_precision(cell.precision)
    torch.backends.cudnn.benchmark = cell.device == "cuda"
    module = torch_models.build(model)
    torch_models.load_state(module, load_file(weights))
    if cell.precision == "tf32" and cell.device == "cpu":
        tf32.round_products(module)
    module = module.eval().requires_grad_(False).to(cell.device, torch_dtype(cell.precision))
    return module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
