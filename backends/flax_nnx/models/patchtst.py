"""Twin of `transformers.PatchTSTForPrediction` with its point head: each channel is scaled, cut into patches, encoded
beside the others (or, by channel attention, with them) and projected to what comes next.

The table of positions is a parameter to PyTorch even where it is the fixed sines, so it crosses with the weights.

Shapes: B batch, T time steps, C channels, P patches, I time steps of a patch, S positions (P, and a class token where
there is one), D width, N heads, L time steps ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models import settings
from weighbridge.backends.flax_nnx.models._patchtst_config import ACTIVATIONS, IDLE, SCALERS, Config, Scale
from weighbridge.bench.core import WeighbridgeError


def identity(x: Array) -> Array:
    return x


class EachChannel(layers.Stacked):
    """A layer of its own for each channel, axis 1."""

    def __call__(self, x: Array) -> Array:
        return nnx.vmap(lambda member, x: member(x), in_axes=(0, 1), out_axes=1)(self.member, x)


class Embedder(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        def linear(rngs: nnx.Rngs) -> layers.Linear:
            return layers.Linear(c.patch_length, c.d_model, rngs=rngs)

        shared = c.share_embedding
        self.input_embedding = linear(rngs) if shared else EachChannel(c.num_input_channels, linear, rngs=rngs)


class PositionalEncoder(nnx.Module):
    def __init__(self, c: Config) -> None:
        if c.use_cls_token:
            self.cls_token = nnx.Param(jnp.zeros((1, 1, 1, c.d_model)))
        self.position_enc = nnx.Param(jnp.zeros((c.patches + c.use_cls_token, c.d_model)))
        self.use_cls_token, self.fixed = c.use_cls_token, c.positional_encoding_type == "sincos"

    def __call__(self, x_BCPD: Array) -> Array:
        """-> (B, C, S, D)"""
        place_SD = self.position_enc[...]
        place_SD = lax.stop_gradient(place_SD) if self.fixed else place_SD
        if not self.use_cls_token:
            return x_BCPD + place_SD[None, None]
        token_BC1D = jnp.broadcast_to(self.cls_token[...], (*x_BCPD.shape[:2], 1, x_BCPD.shape[3]))
        return jnp.concatenate([token_BC1D, x_BCPD], 2) + place_SD[None, None]


class Attention(nnx.Module):
    """Along the last axis but one; the axes before it are so many examples."""

    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (
            layers.Linear(c.d_model, c.d_model, rngs=rngs) for _ in range(4)
        )
        self.heads = c.num_attention_heads

    def __call__(self, x: Array) -> Array:
        split = (-1, x.shape[-2], self.heads, x.shape[-1] // self.heads)
        q, k, v = (part(x).reshape(split) for part in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(layers.attention(q, k, v).reshape(x.shape))


class BatchNorm(nnx.Module):
    """Transformers keeps PyTorch's under a name of its own."""

    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.batchnorm = layers.BatchNorm(c.d_model, c.norm_eps, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        return self.batchnorm(x)


def _norm(c: Config, rngs: nnx.Rngs) -> BatchNorm | layers.LayerNorm:
    return BatchNorm(c, rngs) if c.norm_type == "batchnorm" else layers.LayerNorm(c.d_model, c.norm_eps, rngs=rngs)


class Layer(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.self_attn = Attention(c, rngs)
        self.norm_sublayer1 = _norm(c, rngs)
        if c.channel_attention:
            self.norm_sublayer2 = _norm(c, rngs)
        self.ff = nnx.List[Any](
            [
                layers.Linear(c.d_model, c.ffn_dim, c.bias, rngs=rngs),
                ACTIVATIONS[c.activation_function],
                identity,
                layers.Linear(c.ffn_dim, c.d_model, c.bias, rngs=rngs),
            ]
        )
        self.norm_sublayer3 = _norm(c, rngs)
        self.channel_attention, self.pre_norm = c.channel_attention, c.pre_norm

    def __call__(self, x_BCSD: Array) -> Array:
        x_BCSD = self.added(x_BCSD, self.self_attn, self.norm_sublayer1)
        if self.channel_attention:
            x_BCSD = self.added(x_BCSD, self.among_channels, self.norm_sublayer2)
        return self.added(x_BCSD, self.feed_forward, self.norm_sublayer3)

    def added(self, x: Array, part: Callable[[Array], Array], norm: Callable[[Array], Array]) -> Array:
        return x + part(norm(x)) if self.pre_norm else norm(x + part(x))

    def among_channels(self, x_BCSD: Array) -> Array:
        """By the same weights that attend among positions."""
        return self.self_attn(x_BCSD.swapaxes(1, 2)).swapaxes(1, 2)

    def feed_forward(self, x: Array) -> Array:
        for step in self.ff:
            x = step(x)
        return x


class Encoder(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.embedder = Embedder(c, rngs)
        self.positional_encoder = PositionalEncoder(c)
        self.layers = nnx.List([Layer(c, rngs) for _ in range(c.num_hidden_layers)])

    def __call__(self, x_BCPI: Array) -> Array:
        """-> (B, C, S, D)"""
        x_BCSD = self.positional_encoder(self.embedder.input_embedding(x_BCPI))
        for layer in self.layers:
            x_BCSD = layer(x_BCSD)
        return x_BCSD


class Model(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.encoder = Encoder(c, rngs)
        self.patches, self.patch_length, self.patch_stride = c.patches, c.patch_length, c.patch_stride
        self.skipped = c.skipped

    def __call__(self, x_BTC: Array) -> Array:
        """-> (B, C, S, D)"""
        return self.encoder(self.patchified(x_BTC.swapaxes(1, 2)))

    def patchified(self, x_BCT: Array) -> Array:
        """-> (B, C, P, I)"""
        starts_P = self.skipped + self.patch_stride * np.arange(self.patches, dtype=np.int32)
        return x_BCT[:, :, starts_P[:, None] + np.arange(self.patch_length, dtype=np.int32)]


class Head(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.projection = layers.Linear(c.head_inputs, c.prediction_length, rngs=rngs)
        self.pooling = "first" if c.use_cls_token else c.pooling_type

    def __call__(self, x_BCSD: Array) -> Array:
        """-> (B, C, L)"""
        return self.projection(self.pooled(x_BCSD))

    def pooled(self, x_BCSD: Array) -> Array:
        """One vector a channel."""
        if self.pooling == "first":
            return x_BCSD[:, :, 0]
        if self.pooling == "mean":
            return jnp.mean(x_BCSD, 2)
        return jnp.max(x_BCSD, 2) if self.pooling == "max" else x_BCSD.reshape(*x_BCSD.shape[:2], -1)


class PatchTST(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.model = Model(c, rngs)
        self.head = Head(c, rngs)
        self.window, self.scaler = (c.context_length, c.num_input_channels), SCALERS[c.scaling]

    def __call__(self, past_BTC: Array) -> Array:
        """-> (B, L, C), in at least float32"""
        if past_BTC.shape[1:] != self.window:
            raise WeighbridgeError(f"past has (steps, channels) {past_BTC.shape[1:]}, the PatchTST twin {self.window}")
        wide_BTC = layers.at_least_float32(past_BTC)
        loc_B1C, scale_B1C = self.scaler(wide_BTC)
        y_BCL = self.head(self.model(((wide_BTC - loc_B1C) / scale_B1C).astype(past_BTC.dtype)))
        return layers.at_least_float32(y_BCL).swapaxes(1, 2) * scale_B1C + loc_B1C


def build(config: dict[str, Any], rngs: nnx.Rngs) -> PatchTST:
    return PatchTST(settings(Config, config, IDLE), rngs)


def forward(module: PatchTST, inputs: dict[str, Array]) -> dict[str, Array]:
    """past (B, T, C) -> prediction (B, L, C)."""
    return {"prediction": module(inputs["past"])}


def _tanh_gelu(module: PatchTST) -> None:
    for layer in module.model.encoder.layers:
        layer.ff[1] = layers.gelu_tanh


def _flax_eps(module: PatchTST) -> None:
    for layer in module.model.encoder.layers:
        for norm in (layer.norm_sublayer1, layer.norm_sublayer3):
            (norm.batchnorm if isinstance(norm, BatchNorm) else norm).epsilon = 1e-6


def _norm_after_the_sum(module: PatchTST) -> None:
    for layer in module.model.encoder.layers:
        layer.pre_norm = not layer.pre_norm


def _queries_for_keys(module: PatchTST) -> None:
    for layer in module.model.encoder.layers:
        layer.self_attn.q_proj, layer.self_attn.k_proj = layer.self_attn.k_proj, layer.self_attn.q_proj


def _half_as_many_heads(module: PatchTST) -> None:
    for layer in module.model.encoder.layers:
        layer.self_attn.heads //= 2


def _newest_steps_skipped(module: PatchTST) -> None:
    module.model.skipped = 0


def _unbiased_variance(module: PatchTST) -> None:
    def unbiased(past_BTC: Array) -> Scale:
        deviation_B1C = jnp.std(past_BTC, 1, keepdims=True, ddof=1)
        return Scale(jnp.mean(past_BTC, 1, keepdims=True), jnp.sqrt(jnp.square(deviation_B1C) + 1e-5))

    module.scaler = unbiased


def _positions_off_by_one(module: PatchTST) -> None:
    table = module.model.encoder.positional_encoder.position_enc
    table.set_value(jnp.roll(table.get_value(), 1, 0))


def _positions_pooled_beside_a_class_token(module: PatchTST) -> None:
    module.head.pooling = "mean"


def _channels_left_apart(module: PatchTST) -> None:
    for layer in module.model.encoder.layers:
        layer.channel_attention = False


MUTANTS: dict[str, Callable[[Any], None]] = {
    "tanh for erf in the GELU": _tanh_gelu,
    "Flax's default eps": _flax_eps,
    "norms after the sum": _norm_after_the_sum,
    "queries for keys": _queries_for_keys,
    "half as many heads": _half_as_many_heads,
    "the newest steps skipped in place of the oldest": _newest_steps_skipped,
    "the unbiased variance": _unbiased_variance,
    "positions off by one": _positions_off_by_one,
    "all positions pooled beside a class token": _positions_pooled_beside_a_class_token,
    "no attention among channels": _channels_left_apart,
}
"""Mistakes that ports of this architecture make, each done to a loaded module."""
