"""Twin of timm's ResNet: basic and bottleneck blocks, plain, deep and tiered stems, average-pooled shortcuts.

Containers keep timm's indices, layers without weights included, since paths must equal PyTorch's names.
Shapes: images are NHWC throughout, which is what XLA convolves fastest on CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from backends.flax_nnx import layers
from backends.flax_nnx.models import named, settings

Step = Callable[[Array], Array]


@dataclass(frozen=True, kw_only=True)
class Config:
    """What of timm's `ResNet` arguments is honoured, with its defaults."""

    bottleneck: bool
    layers: tuple[int, ...]
    num_classes: int = 1000
    in_chans: int = 3
    stem_width: int = 64
    stem_type: str = ""
    avg_down: bool = False


_DEEP = {"stem_width": 32, "stem_type": "deep", "avg_down": True}
_TIERED = {"stem_width": 32, "stem_type": "deep_tiered", "avg_down": True}
_NAMES: dict[str, dict[str, Any]] = {
    "resnet10t": {"bottleneck": False, "layers": (1, 1, 1, 1), **_TIERED},
    "resnet14t": {"bottleneck": True, "layers": (1, 1, 1, 1), **_TIERED},
    "resnet18": {"bottleneck": False, "layers": (2, 2, 2, 2)},
    "resnet18d": {"bottleneck": False, "layers": (2, 2, 2, 2), **_DEEP},
    "resnet26": {"bottleneck": True, "layers": (2, 2, 2, 2)},
    "resnet26d": {"bottleneck": True, "layers": (2, 2, 2, 2), **_DEEP},
    "resnet26t": {"bottleneck": True, "layers": (2, 2, 2, 2), **_TIERED},
    "resnet34": {"bottleneck": False, "layers": (3, 4, 6, 3)},
    "resnet34d": {"bottleneck": False, "layers": (3, 4, 6, 3), **_DEEP},
    "resnet50": {"bottleneck": True, "layers": (3, 4, 6, 3)},
    "resnet50d": {"bottleneck": True, "layers": (3, 4, 6, 3), **_DEEP},
    "resnet101": {"bottleneck": True, "layers": (3, 4, 23, 3)},
    "resnet152": {"bottleneck": True, "layers": (3, 8, 36, 3)},
}


class Block(nnx.Module):
    """Two 3×3 convolutions around a shortcut; a bottleneck puts a 1×1 on either side of one."""

    def __init__(self, channels: int, width: int, stride: int, c: Config, rngs: nnx.Rngs) -> None:
        out = width * 4 if c.bottleneck else width
        plans = [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        plans = plans if c.bottleneck else [(channels, width, 3, stride), (width, width, 3, 1)]
        self.depth = len(plans)
        for index, (fan_in, fan_out, size, step) in enumerate(plans, start=1):
            setattr(self, f"conv{index}", _conv(fan_in, fan_out, size, step, rngs))
            setattr(self, f"bn{index}", layers.BatchNorm(fan_out, rngs=rngs))
        self.downsample = nnx.List(_shortcut(channels, out, stride, c, rngs))

    def __call__(self, x: Array) -> Array:
        y = x
        for index in range(1, self.depth + 1):
            y = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(y))
            y = layers.relu(y) if index < self.depth else y
        return layers.relu(y + run(self.downsample, x))


class ResNet(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        channels = c.stem_width * 2 if "deep" in c.stem_type else 64
        self.conv1 = _stem(channels, c, rngs)
        self.bn1 = layers.BatchNorm(channels, rngs=rngs)
        for stage, count in enumerate(c.layers):
            blocks: list[Block] = []
            for index in range(count):
                width, stride = 64 * 2**stage, 2 if stage and index == 0 else 1
                blocks.append(Block(channels, width, stride, c, rngs))
                channels = width * 4 if c.bottleneck else width
            setattr(self, f"layer{stage + 1}", nnx.List(blocks))
        self.fc = layers.Linear(channels, c.num_classes, rngs=rngs)
        self.stages = len(c.layers)

    def __call__(self, x: Array) -> Array:
        x = run(self.conv1, x) if isinstance(self.conv1, nnx.List) else self.conv1(x)
        x = layers.max_pool(layers.relu(self.bn1(x)), size=3, stride=2, padding=1)
        for stage in range(self.stages):
            x = run(getattr(self, f"layer{stage + 1}"), x)
        return self.fc(jnp.mean(x, (1, 2)))


def run(steps: Sequence[Step], x: Array) -> Array:
    """PyTorch's Sequential."""
    for step in steps:
        x = step(x)
    return x


def _conv(fan_in: int, fan_out: int, size: int, stride: int, rngs: nnx.Rngs) -> layers.Conv:
    return layers.Conv(fan_in, fan_out, size, stride, padding=size // 2, bias=False, rngs=rngs)


def _stem(channels: int, c: Config, rngs: nnx.Rngs) -> layers.Conv | nnx.List[Any]:
    if "deep" not in c.stem_type:
        return _conv(c.in_chans, channels, 7, 2, rngs)
    first = 3 * (c.stem_width // 4) if "tiered" in c.stem_type else c.stem_width
    second = c.stem_width
    return nnx.List(
        [
            _conv(c.in_chans, first, 3, 2, rngs),
            layers.BatchNorm(first, rngs=rngs),
            layers.relu,
            _conv(first, second, 3, 1, rngs),
            layers.BatchNorm(second, rngs=rngs),
            layers.relu,
            _conv(second, channels, 3, 1, rngs),
        ]
    )


def _shortcut(channels: int, out: int, stride: int, c: Config, rngs: nnx.Rngs) -> list[Any]:
    """Nothing where shapes agree; else a strided projection, or pooling and then a projection."""
    if stride == 1 and channels == out:
        return []
    norm = layers.BatchNorm(out, rngs=rngs)
    if not c.avg_down:
        return [_conv(channels, out, 1, stride, rngs), norm]
    return [partial(layers.avg_pool, stride=stride), _conv(channels, out, 1, 1, rngs), norm]


def build(config: dict[str, Any], rngs: nnx.Rngs) -> ResNet:
    return ResNet(settings(Config, named(_NAMES, config)), rngs)


def forward(module: ResNet, inputs: dict[str, Array]) -> dict[str, Array]:
    """image (B, H, W, C) -> logits (B, num_classes)."""
    return {"logits": module(inputs["image"])}
