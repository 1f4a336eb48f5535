"""The reference modules: a `ModelSpec` to a PyTorch module and a function that runs it.

Forward passes are plain functions over a dict of tensors, so that every backend that starts from PyTorch (eager,
compiled, exported) starts from the same graph. Module names are the names of the weights, everywhere.

Shapes: B batch, H W image, C channels, S positions, D hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.core import Arrays, ModelSpec, WeighbridgeError

Forward = Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]
Config = dict[str, Any]

_DROPPED = ("num_batches_tracked",)
"""Leaves of a state dict that no weight file holds: a counter that a constant momentum never reads."""


class MLP(nn.Module):
    """Hidden layers of linear, optional LayerNorm, activation; then a linear head."""

    def __init__(
        self,
        in_features: int,
        hidden: list[int],
        out_features: int,
        activation: str = "gelu",
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        widths = [in_features, *hidden]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths, hidden, strict=False))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in hidden if layer_norm)
        self.head = nn.Linear(widths[-1], out_features)
        self.activation = {"gelu": nn.functional.gelu, "relu": nn.functional.relu}[activation]

    def forward(self, x: Tensor) -> Tensor:
        for index, layer in enumerate(self.layers):
            x = layer(x)
            x = self.activation(self.norms[index](x) if len(self.norms) else x)
        return self.head(x)


def build(model: ModelSpec) -> nn.Module:
    """The module in eval mode, float32, on the CPU, with whatever weights it draws from torch's generator."""
    return _row(model)[0](model.config).eval()


def forward(model: ModelSpec) -> Forward:
    """(module, inputs) -> outputs. One graph: `torch.compile(fullgraph=True)` takes it."""
    return _row(model)[1]


def library(model: ModelSpec) -> str:
    """The module that holds the model's code."""
    return _row(model)[2]


def state(module: nn.Module) -> Arrays:
    """Weights and statistics as float32 arrays: tied ones once, under the first of their names."""
    return {name: tensor.detach().float().cpu().numpy().copy() for name, tensor in _tensors(module).items()}


def load_state(module: nn.Module, weights: Arrays) -> None:
    """Puts `weights` into the module in place; refuses what does not fit exactly."""
    tensors = _tensors(module)
    given = {name: weight for name, weight in weights.items() if name.rpartition(".")[2] not in _DROPPED}
    _refuse("the weights lack {}, which the module has", tensors.keys() - given.keys())
    _refuse("the module lacks {}, which the weights hold", given.keys() - tensors.keys())
    _refuse(
        "shapes differ: {}",
        {
            f"{name} is {given[name].shape}, the module has {tuple(tensor.shape)}"
            for name, tensor in tensors.items()
            if tuple(tensor.shape) != given[name].shape
        },
    )
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.tensor(given[name]))


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


def _row(model: ModelSpec) -> tuple[Callable[[Config], nn.Module], Forward, str]:
    if model.architecture not in _ARCHITECTURES:
        known = ", ".join(_ARCHITECTURES)
        raise WeighbridgeError(f"no reference module of architecture {model.architecture!r}: there are {known}")
    return _ARCHITECTURES[model.architecture]


def _timm(config: Config) -> nn.Module:
    import timm

    rest = {key: value for key, value in config.items() if key != "name"}
    return timm.create_model(config["name"], pretrained=False, **rest)


def _mlp(config: Config) -> nn.Module:
    return MLP(**config)


def _bert(config: Config) -> nn.Module:
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(**_with_sdpa(config)), add_pooling_layer=False)


def _llama(config: Config) -> nn.Module:
    """Not filled with random numbers, which takes seconds: whoever builds it loads it."""
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.initialization import no_init_weights

    with no_init_weights():
        module = LlamaForCausalLM(LlamaConfig(**_with_sdpa(config)))
    module.tie_weights()
    return module


def _with_sdpa(config: Config) -> Config:
    """PyTorch's own fused attention, said outright: transformers chooses by what is installed."""
    return {**config, "attn_implementation": "sdpa"}


def _classify(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """NHWC seen as NCHW is channels_last, at no cost."""
    return {"logits": module(inputs["image"].permute(0, 3, 1, 2))}


def _regress(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    y = module(inputs["features"])
    return {"prediction": y[:, 0] if y.shape[1] == 1 else y}


def _embed(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mean over the mask, then unit length: what sentence-transformers does after BERT."""
    mask_BS = inputs["attention_mask"]
    x_BSD = module(input_ids=inputs["input_ids"], attention_mask=mask_BS).last_hidden_state
    mask_BS1 = mask_BS[..., None].to(x_BSD.dtype)
    mean_BD = (x_BSD * mask_BS1).sum(1) / mask_BS1.sum(1).clamp(min=1e-9)
    return {"embedding": nn.functional.normalize(mean_BD, dim=-1, eps=1e-12)}


def _next_token(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"logits": module(input_ids=inputs["input_ids"], use_cache=False).logits}


_ARCHITECTURES: dict[str, tuple[Callable[[Config], nn.Module], Forward, str]] = {
    "resnet": (_timm, _classify, "timm"),
    "vit": (_timm, _classify, "timm"),
    "mlp": (_mlp, _regress, "torch"),
    "bert": (_bert, _embed, "transformers.models.bert.modeling_bert"),
    "llama": (_llama, _next_token, "transformers.models.llama.modeling_llama"),
}
"""Builder, forward pass, and the module whose import is the library's own cost: timm alone takes seconds."""
