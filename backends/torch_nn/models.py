"""The reference modules: a `ModelSpec` to a PyTorch module and a function that runs it.

Forward passes are plain functions over a dict of tensors, so that every backend that starts from PyTorch (eager,
compiled, exported) starts from the same graph. Module names are the names of the weights, everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from weighbridge.backends.torch_nn.architectures import load
from weighbridge.bench.core import Arrays, ModelSpec, WeighbridgeError

Forward = Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]

_DROPPED = ("num_batches_tracked",)
"""Leaves of a state dict that no weight file holds: a counter that a constant momentum never reads."""


def build(model: ModelSpec) -> nn.Module:
    """The module in eval mode, float32, on the CPU, with whatever weights it draws from torch's generator."""
    return load(model.architecture).build(model.config).eval()


def forward(model: ModelSpec) -> Forward:
    """(module, inputs) -> outputs. One graph: `torch.compile(fullgraph=True)` takes it."""
    return load(model.architecture).forward


def stepping(model: ModelSpec, scenario: str) -> Forward | None:
    """What a step calls: the forward pass, or the architecture's own sampling; None where transformers decodes."""
    return forward(model) if scenario == "infer" else vars(load(model.architecture)).get("sample")


def library(model: ModelSpec) -> str:
    """The module that holds the model's code."""
    return load(model.architecture).LIBRARY


def state(module: nn.Module) -> Arrays:
    """Weights and statistics as float32 arrays: tied ones once, under the first of their names."""
    return {name: tensor.detach().float().cpu().numpy().copy() for name, tensor in _tensors(module).items()}


def load_state(module: nn.Module, weights: Arrays) -> None:
    """Puts `weights` into the module in place; refuses what does not fit exactly."""
    _refuse("the weights lack {}, which the module has", _tensors(module).keys() - weights.keys())
    load_some(module, weights)


def load_some(module: nn.Module, weights: Arrays) -> None:
    """Puts `weights` into the module in place, which keeps what they lack; refuses what does not fit."""
    tensors = _tensors(module)
    given = {name: weight for name, weight in weights.items() if name.rpartition(".")[2] not in _DROPPED}
    _refuse("the module lacks {}, which the weights hold", given.keys() - tensors.keys())
    _refuse(
        "shapes differ: {}",
        {
            f"{name} is {weight.shape}, the module has {tuple(tensors[name].shape)}"
            for name, weight in given.items()
            if tuple(tensors[name].shape) != weight.shape
        },
    )
    with torch.no_grad():
        for name, weight in given.items():
            tensors[name].copy_(torch.tensor(weight))


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """The state dict without counters and without second names of tied weights."""
    seen: set[int] = set()
    found: dict[str, Tensor] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if name.rpartition(".")[2] not in _DROPPED and id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor
    return found


def _refuse(message: str, names: set[str]) -> None:
    if found := sorted(names):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise WeighbridgeError(message.format(", ".join(found[:3]) + more))
