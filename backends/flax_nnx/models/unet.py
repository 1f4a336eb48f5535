"""Twin of diffusers' UNet2DModel, and of its DDIM pipeline as one compiled loop.

Shapes: B batch, H W image, C channels, E width of the sines, T width of the embedded time, N steps of sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models import _unet_schedule as schedule
from weighbridge.backends.flax_nnx.models import settings
from weighbridge.backends.flax_nnx.models._unet_blocks import Attention, DownBlock, MidBlock, ResnetBlock, UpBlock, norm
from weighbridge.backends.flax_nnx.models._unet_config import IDLE, Config
from weighbridge.backends.flax_nnx.models._unet_schedule import Sampling, Scheduler, Steps
from weighbridge.bench.core import WeighbridgeError

PERIOD = 10000


class Sines:
    """Waves of a time, from fast to slow. float32 whatever the weights are, as diffusers has them."""

    def __init__(self, c: Config) -> None:
        self.width, self.flip, self.shift = c.block_out_channels[0], c.flip_sin_to_cos, c.freq_shift

    def __call__(self, time_B: Array) -> Array:
        half = self.width // 2
        exponent = np.float32(-math.log(PERIOD)) * np.arange(half, dtype=np.float32) / np.float32(half - self.shift)
        frequency = np.exp(exponent.astype(np.float64)).astype(np.float32)  # rounded once, which no float32 exp is
        angle = time_B.astype(jnp.float32)[:, None] * frequency[None]
        waves = [jnp.cos(angle), jnp.sin(angle)] if self.flip else [jnp.sin(angle), jnp.cos(angle)]
        return jnp.pad(jnp.concatenate(waves, axis=-1), ((0, 0), (0, self.width % 2)))


class TimestepEmbedding(nnx.Module):
    def __init__(self, fan_in: int, width: int, rngs: nnx.Rngs) -> None:
        self.linear_1 = layers.Linear(fan_in, width, rngs=rngs)
        self.linear_2 = layers.Linear(width, width, rngs=rngs)

    def __call__(self, x_BE: Array) -> Array:
        return self.linear_2(layers.silu(self.linear_1(x_BE)))


class UNet(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        widths = list(c.block_out_channels)
        self.conv_in = layers.Conv(c.in_channels, widths[0], 3, padding=1, rngs=rngs)
        self.time_proj = Sines(c)
        self.time_embedding = TimestepEmbedding(widths[0], c.time_width, rngs)
        classes = c.num_class_embeds
        self.class_embedding = None if classes is None else layers.Embed(classes, c.time_width, rngs=rngs)
        self.down_blocks = nnx.List(_way_down(c, rngs))
        self.mid_block = MidBlock(widths[-1], c, rngs) if c.mid_block_type else None
        self.up_blocks = nnx.List(_way_up(c, rngs))
        self.conv_norm_out = norm(widths[0], c, rngs)
        self.conv_act = layers.silu
        self.conv_out = layers.Conv(widths[0], c.out_channels, 3, padding=1, rngs=rngs)
        self.config = c
        self.scheduler = settings(Scheduler, c.scheduler, schedule.IDLE)
        self.sampling = settings(Sampling, c.sampling)

    def __call__(self, x_BHWC: Array, time_B: Array, label_B: Array | None) -> Array:
        _refuse_odd(x_BHWC, len(self.down_blocks))
        time_BT = self.timed(time_B, label_B, x_BHWC.dtype)
        kept = [self.conv_in(2 * x_BHWC - 1 if self.config.center_input_sample else x_BHWC)]
        for down in self.down_blocks:
            kept += down(kept[-1], time_BT)
        y_BHWC = kept[-1] if self.mid_block is None else self.mid_block(kept[-1], time_BT)
        for up in self.up_blocks:
            y_BHWC = up(y_BHWC, kept, time_BT)
        return self.conv_out(self.conv_act(self.conv_norm_out(y_BHWC)))

    def timed(self, time_B: Array, label_B: Array | None, dtype: Any) -> Array:
        """The embedded time, and with it the class where the model has any."""
        time_BT = self.time_embedding(self.time_proj(time_B).astype(dtype))
        if self.class_embedding is None:
            return time_BT
        if label_B is None:
            raise WeighbridgeError("a UNet with num_class_embeds wants a label for each image")
        return time_BT + self.class_embedding(label_B)


def _way_down(c: Config, rngs: nnx.Rngs) -> list[DownBlock]:
    widths = list(c.block_out_channels)
    return [
        DownBlock(fan_in, width, index == len(widths) - 1, kind.startswith("Attn"), c, rngs)
        for index, (fan_in, width, kind) in enumerate(
            zip([widths[0], *widths[:-1]], widths, c.down_block_types, strict=True)
        )
    ]


def _way_up(c: Config, rngs: nnx.Rngs) -> list[UpBlock]:
    """Each level joins what its own blocks on the way down gave, and last what that level was given."""
    widths = list(c.block_out_channels)[::-1]
    return [
        UpBlock(below, [width] * c.layers_per_block + [above], width, above_none, kind.startswith("Attn"), c, rngs)
        for below, width, above, above_none, kind in zip(
            [widths[0], *widths[:-1]],
            widths,
            [*widths[1:], widths[-1]],
            [*[False] * (len(widths) - 1), True],
            c.up_block_types,
            strict=True,
        )
    ]


def _refuse_odd(x_BHWC: Array, levels: int) -> None:
    whole = 2 ** (levels - 1)
    if any(length % whole for length in x_BHWC.shape[1:3]):
        raise WeighbridgeError(f"image is {x_BHWC.shape[1:3]}: {levels} levels want multiples of {whole}")


def build(config: dict[str, Any], rngs: nnx.Rngs) -> UNet:
    return UNet(settings(Config, config, IDLE), rngs)


def forward(module: UNet, inputs: dict[str, Array]) -> dict[str, Array]:
    """image (B, H, W, C), timestep (B,) and, of a model with classes, label (B,) -> prediction (B, H, W, C)."""
    return {"prediction": module(inputs["image"], inputs["timestep"], inputs.get("label"))}


def sample(module: UNet, inputs: dict[str, Array]) -> dict[str, Array]:
    """noise (B, H, W, C) and, of a model with classes, label (B,) -> image (B, H, W, C). All steps are one loop.

    The image between two steps is float32 or wider, as the reference has it.
    """
    noise, label_B = inputs["noise"], inputs.get("label")

    def step(image: Array, at: Steps) -> tuple[Array, None]:
        predicted = layers.at_least_float32(_guided(module, image.astype(noise.dtype), at.timestep, label_B))
        return _stepped(module.scheduler, image, predicted, at), None

    taken = schedule.steps(module.scheduler, module.sampling.steps)
    image, _ = lax.scan(step, layers.at_least_float32(noise), Steps(*map(jnp.asarray, taken)))
    return {"image": image.astype(noise.dtype)}


def _guided(module: UNet, image: Array, timestep: Array, label_B: Array | None) -> Array:
    """Classifier-free guidance: both halves of a doubled batch, the first without a class, which is the last label."""
    classes, guidance = module.config.num_class_embeds, module.sampling.guidance
    if classes is None or label_B is None or guidance == 1:
        return module(image, jnp.broadcast_to(timestep, image.shape[:1]), label_B)
    labels = jnp.concatenate([jnp.full_like(label_B, classes - 1), label_B])
    both = module(jnp.concatenate([image, image]), jnp.broadcast_to(timestep, labels.shape), labels)
    without, told = jnp.split(layers.at_least_float32(both), 2)
    return without + guidance * (told - without)


def _stepped(s: Scheduler, image: Array, predicted: Array, at: Steps) -> Array:
    """Song et al. 2021, equation 12 without noise: the image that is foreseen, and from there the next."""
    roots: list[Array] = [root.astype(image.dtype) for root in at[1:]]
    share, rest, next_share, next_rest = roots
    if s.prediction_type == "epsilon":
        foreseen, noise = (image - rest * predicted) / share, predicted
    elif s.prediction_type == "sample":
        foreseen, noise = predicted, (image - share * predicted) / rest
    else:
        foreseen, noise = share * image - rest * predicted, share * predicted + rest * image
    if s.clip_sample:
        foreseen = jnp.clip(foreseen, -s.clip_sample_range, s.clip_sample_range)
    return next_share * foreseen + next_rest * noise


def _all(unet: Any, kind: type[Any]) -> list[Any]:
    return [part for _, part in nnx.iter_modules(unet) if isinstance(part, kind)]


def _one_group(unet: Any) -> None:
    for part in _all(unet, layers.GroupNorm):
        part.num_groups = 1


def _flaxs_own_eps(unet: Any) -> None:
    for part in _all(unet, layers.GroupNorm):
        part.epsilon = 1e-6


def _sines_first(unet: Any) -> None:
    unet.time_proj.flip = not unet.time_proj.flip


def _gelu(unet: Any) -> None:
    for part in _all(unet, ResnetBlock):
        part.act = layers.gelu


def _padded_before(unet: Any) -> None:
    for block in unet.down_blocks:
        for down in block.downsamplers:
            down.room = (1, 0)


def _unscaled_attention(unet: Any) -> None:
    for part in _all(unet, Attention):
        bias = part.to_q.bias.get_value()
        factor = np.sqrt(np.float32(len(bias) // part.heads))
        part.to_q.kernel.set_value(part.to_q.kernel.get_value() * factor)
        part.to_q.bias.set_value(bias * factor)


def _skipped_first(unet: Any) -> None:
    for block in unet.up_blocks:
        block.joined = lambda x_BHWC, skipped_BHWC: jnp.concatenate([skipped_BHWC, x_BHWC], axis=-1)


def _no_residual(unet: Any) -> None:
    for part in _all(unet, Attention):
        part.residual = lambda attended, x: attended


MUTANTS: dict[str, Callable[[Any], None]] = {
    "norms over all channels": _one_group,
    "Flax's own eps": _flaxs_own_eps,
    "sines and cosines in the other order": _sines_first,
    "GELU for SiLU": _gelu,
    "downsampling padded above and to the left": _padded_before,
    "attention without its scale": _unscaled_attention,
    "what skipped comes first": _skipped_first,
    "attention without its residual": _no_residual,
}
"""Mistakes that ports of this architecture make, each put into a loaded twin."""
