"""The rule catches what it is there to catch (measuring rule 21): each mutation is a mistake that ports make."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import pytest
from jax import Array, lax

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.layers import convolutions
from weighbridge.backends.flax_nnx.layers.convolve import Window
from weighbridge.backends.flax_nnx.models import vit

pytestmark = pytest.mark.usefixtures("strict_jax")


def test_tanh_gelu_is_caught(cases: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "gelu", layers.gelu_tanh)
    assert not cases["vit"].judge().passed


def test_flax_default_eps_is_caught(cases: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vit, "EPS", 1e-5)
    assert not cases["vit"].judge().passed


def test_same_padding_under_a_stride_is_caught(cases: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def same(x_BHWC: Array, kernel_hwCO: Array, window: Window) -> Array:
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x_BHWC, kernel_hwCO, window.strides, "SAME", dimension_numbers=layout)

    monkeypatch.setattr(convolutions, "convolve", same)
    assert not cases["resnet18"].judge().passed


def test_fast_variance_is_allowed(cases: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fast(self: layers.LayerNorm, x: Array) -> Array:
        mean = jnp.mean(x, -1, keepdims=True)
        var = jnp.mean(jnp.square(x), -1, keepdims=True) - jnp.square(mean)
        gain, shift = (leaf[...].reshape((1,) * (x.ndim - 1) + (-1,)) for leaf in (self.scale, self.bias))
        return (x - mean) * lax.rsqrt(var + self.epsilon) * gain + shift

    monkeypatch.setattr(layers.LayerNorm, "__call__", fast)
    assert cases["vit"].judge().passed
