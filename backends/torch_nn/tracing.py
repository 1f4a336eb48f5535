"""Graphs of reference modules by `torch.export`, with what is in them for any size.

Shapes: B rows, S positions, P positions that a cache holds, H heads, D of each, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from weighbridge.backends.torch_nn.decoding import kept_heads
from weighbridge.backends.torch_nn.exporting import Piece
from weighbridge.backends.torch_nn.models import Forward
from weighbridge.backends.torch_nn.runtime import IDS, LOGITS, PAST, TOKEN

Axes = Sequence[Sequence[int]]
"""Of each input, those that may have any size."""


class Passing(nn.Module):
    """A forward pass from tensors in order of name: float32 outside, whatever it is inside."""

    def __init__(self, module: nn.Module, function: Forward, names: Sequence[str]) -> None:
        super().__init__()
        self.module, self.function, self.names = module, function, list(names)
        self.dtype = next(module.parameters()).dtype

    def forward(self, *tensors: Tensor) -> dict[str, Tensor]:
        """Names -> tensors, in order of name."""
        found = self.function(self.module, dict(zip(self.names, _cast(tensors, self.dtype), strict=True)))
        names = sorted(found)
        return dict(zip(names, _cast([found[name] for name in names], torch.float32), strict=True))


class Calling(nn.Module):
    """A call of a module as it is: the tensors among its arguments are free, all else is part of the graph."""

    def __init__(self, module: nn.Module, arguments: Sequence[Any], named: Mapping[str, Any]) -> None:
        super().__init__()
        self.module, self.named = module, dict(named)
        self.arguments = [None if isinstance(each, Tensor) else (each,) for each in arguments]
        self.dtype = next(module.parameters()).dtype

    def forward(self, *tensors: Tensor) -> dict[str, Tensor]:
        """The tuple of tensors that the call returns, numbered."""
        given = iter(_cast(tensors, self.dtype))
        arguments = [next(given) if each is None else each[0] for each in self.arguments]
        found = _cast(self.module(*arguments, **self.named), torch.float32)
        return {f"{at:02}": tensor for at, tensor in enumerate(found)}


class Decoding(nn.Module):
    """Tokens (B, S) after a cache of P positions to the next token, its logits, and the cache with S more.

    One graph for the prompt, whose cache is empty, and for each token after it.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, *tensors: Tensor) -> dict[str, Tensor]:
        """Behind the tokens come keys and values (B, H, P, D), layer by layer; so they are returned, too."""
        ids_BS, *past = tensors
        cache = _growing(past)
        found = self.module(input_ids=ids_BS, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits_BV = found.logits[:, -1].float()
        kept = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
        named = {f"{PAST}{at}": tensor for at, tensor in enumerate(kept)}
        return {TOKEN: logits_BV.argmax(-1, keepdim=True), LOGITS: logits_BV, **named}


class DecodingInRoom(nn.Module):
    """The same with caches of fixed room (B, H, R, D), filled up to `start` ()."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, ids_BS: Tensor, start: Tensor, past: Sequence[Tensor]) -> dict[str, Any]:
        """The next token, its logits, and the caches with these tokens in them."""
        at_S = start + torch.arange(ids_BS.shape[1], device=ids_BS.device)
        room = torch.arange(past[0].shape[2], device=ids_BS.device)
        mask = (room <= at_S[:, None]).expand(len(ids_BS), 1, -1, -1)
        cache = _placing(past, at_S)
        found = self.module(
            input_ids=ids_BS,
            position_ids=at_S.expand_as(ids_BS),
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits_BV = found.logits[:, -1].float()
        kept = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
        return {TOKEN: logits_BV.argmax(-1, keepdim=True), LOGITS: logits_BV, PAST: kept}


def _growing(past: Sequence[Tensor]) -> Any:
    """A cache that holds these keys and values, and joins to them what comes."""
    from transformers.cache_utils import DynamicLayer

    return _filled(DynamicLayer, past)


def _placing(past: Sequence[Tensor], at_S: Tensor) -> Any:
    """A cache that puts what comes at these positions."""
    from transformers.cache_utils import DynamicLayer

    class Placing(DynamicLayer):
        def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
            assert self.keys is not None
            assert self.values is not None
            self.keys = self.keys.index_copy(2, at_S, key_states)
            self.values = self.values.index_copy(2, at_S, value_states)
            return self.keys, self.values

    return _filled(Placing, past)


def _filled(kind: Any, past: Sequence[Tensor]) -> Any:
    """Filled here: transformers would join the first keys to an empty tensor of one axis."""
    from transformers.cache_utils import DynamicCache

    cache = DynamicCache()
    for keys, values in zip(past[::2], past[1::2], strict=True):
        layer = kind()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        cache.layers.append(layer)
    return cache


def exported(module: nn.Module, piece: Piece) -> tuple[ExportedProgram, list[str]]:
    """A piece with any size where its shape says so, and the names of its outputs."""
    tensors = _of_two([piece.batch[name] for name in piece.names], piece.shape.free)
    return _exported(module, tensors, piece.shape.free)


def decoding(module: Any) -> tuple[ExportedProgram, list[str], list[str]]:
    """One graph for prompts and for tokens after them, of any number of rows; names of its inputs and outputs."""
    rows, positions, held = 2, 3, 5
    heads, size = kept_heads(module.config)
    caches = range(2 * module.config.num_hidden_layers)
    past = [torch.zeros(rows, heads, held, size, dtype=module.dtype) for _ in caches]  # one tensor is one input
    tensors = [torch.ones(rows, positions, dtype=torch.int64), *past]
    program, outputs = _exported(Decoding(module), tensors, [(0, 1), *[(0, 2)] * len(past)])
    return program, [IDS, *(f"{PAST}{at}" for at in caches)], outputs


def _exported(module: nn.Module, tensors: Sequence[Tensor], free: Axes) -> tuple[ExportedProgram, list[str]]:
    dynamic = tuple(dict.fromkeys(axes, Dim.DYNAMIC) for axes in free)
    with torch.no_grad():
        program = export(module.eval(), tuple(tensors), dynamic_shapes=(dynamic,), strict=False)
    outputs: Any = program.call_spec.out_spec
    return program, list(outputs.context)


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    return [tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in tensors]


def _of_two(arrays: Sequence[np.ndarray], free: Axes) -> list[Tensor]:
    """The arrays, twice along each free axis of one: a graph of one row is a graph for one row."""
    found: list[Tensor] = []
    for array, axes in zip(arrays, free, strict=True):
        times = [2 if axis in axes and size == 1 else 1 for axis, size in enumerate(array.shape)]
        found.append(torch.from_numpy(np.tile(array, times)))
    return found
