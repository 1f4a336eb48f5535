"""TF32 on a CPU, which has none: what enters a product is rounded as a device does it."""

from __future__ import annotations

from typing import Any

import torch

TF32_DROPPED_BITS = 13
"""A float32 has 23 bits of mantissa, a TF32 10."""


def round_tf32(tensor: Any) -> Any:
    """To the nearest TF32, ties to even, still held in float32; infinity and NaN stay what they are."""
    bits = tensor.contiguous().view(torch.int32)
    odd = (bits >> TF32_DROPPED_BITS) & 1
    rounded = (bits + ((1 << (TF32_DROPPED_BITS - 1)) - 1) + odd) & -(1 << TF32_DROPPED_BITS)
    return torch.where(torch.isfinite(tensor), rounded.view(torch.float32), tensor)


def round_products(module: Any) -> None:
    """Rounds what enters products of weights as a TF32 device does.

    The yardstick of parity is the reference's error at the cell's precision, on the CPU, which has no TF32: without
    this, every device's TF32 would be held to float32.
    """
    for part in module.modules():
        if isinstance(part, torch.nn.Linear | torch.nn.Conv2d):
            part.weight = torch.nn.Parameter(round_tf32(part.weight.detach()))  # not in place: it may be tied
            part.register_forward_pre_hook(lambda _, inputs: (round_tf32(inputs[0]), *inputs[1:]))
