"""Operations and bytes of a step, by torch's own counter; those of a long generation from three short ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weighbridge.backends.torch_nn.decoding import kept_heads
from weighbridge.bench.core import Cost

COUNTER = "torch FlopCounter"
Step = Callable[[dict[str, Any]], dict[str, Any]]


def held(tensors: dict[str, Any]) -> int:
    """Bytes of a batch or of outputs."""
    import torch

    return sum(tensor.nbytes for tensor in tensors.values() if isinstance(tensor, torch.Tensor))


def of_a_pass(step: Step, module: Any, x: dict[str, Any]) -> Cost:
    """Of bytes, weights, inputs and outputs."""
    flops, y = _counted(step, x)
    return Cost(flops=flops, bytes=_weights(module) + held(x) + held(y), by=COUNTER)


def of_decoding(step: Step, module: Any, x: dict[str, Any]) -> Cost:
    """Every token reads the weights, and the cache, which is taken at its length halfway."""
    tokens, weights = x["new_tokens"], _weights(module)
    counted = [_counted(step, {**x, "new_tokens": count}) for count in (1, 2, 3)]
    flops = quadratic([flops for flops, _ in counted], tokens)
    outputs = quadratic([held(y) for _, y in counted], tokens)
    rows, prompt = x["input_ids"].shape
    cache = rows * (prompt + tokens / 2) * _cache_bytes(module)
    token_flops = (flops - counted[0][0]) / max(1, tokens - 1)
    return Cost(
        flops=flops, bytes=tokens * weights + (tokens - 1) * cache + held(x) + outputs, token_flops=token_flops,
        token_bytes=weights + cache, by=COUNTER,
    )  # fmt: skip


def quadratic(first_three: Sequence[float], count: int) -> float:
    """Return the value at `count` of the polynomial of second degree through its values at 1, 2 and 3 (Newton).

    A token's operations grow linearly with the length of the cache that it attends to, so that their sum is quadratic;
    to count all of a generation takes five times as long as to run it.
    """
    one, two, three = first_three
    later = count - 1
    return one + later * (two - one) + later * (later - 1) / 2 * (three - 2 * two + one)


def _counted(step: Step, x: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):  # the fused kernel of the CPU is not in the counter's register
        y = step(x)
    return float(counter.get_total_flops()), y


def _weights(module: Any) -> int:
    return sum(tensor.nbytes for tensor in module.parameters())


def _cache_bytes(module: Any) -> float:
    """Keys and values of one position of one row."""
    heads, head = kept_heads(module.config)
    return 2 * module.config.num_hidden_layers * heads * head * module.dtype.itemsize
