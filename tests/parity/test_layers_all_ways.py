"""Every layer that a model may be made of, against PyTorch's: outputs and gradients, for arguments drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from weighbridge.backends.flax_nnx import bridge, layers
from weighbridge.bench.core import Arrays

RNG = np.random.default_rng(5)

pytestmark = pytest.mark.usefixtures("strict_jax")


def channels_first(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(-1, 1)


def channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1)


class Pair(NamedTuple):
    """The same layer on both sides; `first` says that PyTorch's has its channels on axis 1."""

    theirs: Any
    ours: Any
    shape: tuple[int, ...]
    first: bool = False


Both = Callable[[nnx.Rngs], Pair]
LAYERS: dict[str, Both] = {
    "linear": lambda rngs: Pair(torch.nn.Linear(5, 3), layers.Linear(5, 3, rngs=rngs), (4, 5)),
    "layer norm": lambda rngs: Pair(torch.nn.LayerNorm(6), layers.LayerNorm(6, rngs=rngs), (4, 6)),
    "rms norm": lambda rngs: Pair(torch.nn.RMSNorm(6, 1e-6), layers.RMSNorm(6, 1e-6, rngs=rngs), (4, 6)),
    "group norm": lambda rngs: Pair(torch.nn.GroupNorm(3, 6), layers.GroupNorm(3, 6, rngs=rngs), (2, 5, 4, 6), True),
    "batch norm": lambda rngs: Pair(torch.nn.BatchNorm2d(3), layers.BatchNorm(3, rngs=rngs), (4, 3, 2, 3), True),
    "convolution": lambda rngs: Pair(
        torch.nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2),
        layers.Conv(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2, rngs=rngs), (2, 7, 9, 4), True,
    ),
    "patches": lambda rngs: Pair(
        torch.nn.Conv2d(3, 6, (2, 3), (2, 3)), layers.Conv(3, 6, (2, 3), (2, 3), rngs=rngs), (2, 7, 9, 3), True
    ),
    "few pixels": lambda rngs: Pair(
        torch.nn.Conv2d(3, 6, 3, 2, 1), layers.Conv(3, 6, 3, 2, 1, rngs=rngs), (2, 5, 6, 3), True
    ),
    "depthwise": lambda rngs: Pair(
        torch.nn.Conv2d(6, 6, (3, 5), 2, 1, 2, groups=6), layers.Conv(6, 6, (3, 5), 2, 1, 2, groups=6, rngs=rngs),
        (2, 9, 11, 6), True,
    ),
    "depthwise 1-D": lambda rngs: Pair(
        torch.nn.Conv1d(4, 4, 5, 1, 2, groups=4), layers.Conv1d(4, 4, 5, 1, 2, groups=4, rngs=rngs), (2, 8, 4), True
    ),
    "1-D": lambda rngs: Pair(
        torch.nn.Conv1d(4, 3, 3, 2, 1, bias=False), layers.Conv1d(4, 3, 3, 2, 1, bias=False, rngs=rngs), (2, 8, 4), True
    ),
    "transposed": lambda rngs: Pair(
        torch.nn.ConvTranspose2d(4, 3, (3, 4), (2, 3), (1, 0), (1, 2)),
        layers.ConvTranspose(4, 3, (3, 4), (2, 3), (1, 0), (1, 2), rngs=rngs), (2, 3, 4, 4), True,
    ),
    "largest": lambda _: Pair(torch.nn.MaxPool2d(3, 2, 1), lambda x: layers.max_pool(x, 3, 2, 1), (2, 7, 4, 3), True),
    "average": lambda _: Pair(
        torch.nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False), lambda x: layers.avg_pool(x, 2),
        (2, 7, 5, 3), True,
    ),
    "gelu": lambda _: Pair(torch.nn.GELU(), layers.gelu, (4, 5)),
    "gelu of tanh": lambda _: Pair(torch.nn.GELU("tanh"), layers.gelu_tanh, (4, 5)),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_are_pytorchs(name: str, mode: str) -> None:
    pair = LAYERS[name](nnx.Rngs(0))
    same_weights(pair)
    _ = pair.theirs.train(mode == "train")
    if isinstance(pair.ours, nnx.Module):
        _ = pair.ours.train() if mode == "train" else pair.ours.eval()
    x, weighing = RNG.normal(size=pair.shape).astype(np.float32), np.float32(RNG.normal())
    y, of_x, of_weights = of_theirs(pair, x, weighing)
    found, ours_of_x, ours_of_weights = of_ours(pair.ours, x, weighing)
    np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours_of_x, of_x, rtol=1e-3, atol=1e-4)
    assert ours_of_weights.keys() == of_weights.keys()
    for leaf, gradient in of_weights.items():
        np.testing.assert_allclose(ours_of_weights[leaf], gradient, rtol=1e-3, atol=2e-4, err_msg=leaf)


def same_weights(pair: Pair) -> None:
    """Drawn, so that no leaf is zero or one."""
    if isinstance(pair.ours, nnx.Module):
        weights = {
            name: (np.abs(RNG.normal(size=tensor.shape)) + 0.1).astype(np.float32)
            for name, tensor in pair.theirs.state_dict().items()
            if name != "num_batches_tracked"
        }
        pair.theirs.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=False)
        bridge.load(pair.ours, weights)


def of_theirs(pair: Pair, x: np.ndarray, weighing: np.float32) -> tuple[np.ndarray, np.ndarray, Arrays]:
    """Output, and gradients of a sum of its sines."""
    given = torch.from_numpy(x).requires_grad_()
    y = channels_last(pair.theirs(channels_first(given))) if pair.first else pair.theirs(given)
    torch.sin(y * float(weighing)).sum().backward()
    assert given.grad is not None
    of_weights = {name: each.grad.numpy() for name, each in pair.theirs.named_parameters()}
    return y.detach().numpy(), given.grad.numpy(), of_weights


def of_ours(layer: Any, x: np.ndarray, weighing: np.float32) -> tuple[np.ndarray, np.ndarray, Arrays]:
    """The same, jitted; gradients of weights go back by the bridge."""
    graph, weights, rest = nnx.split(layer, nnx.Param, ...) if isinstance(layer, nnx.Module) else (None, {}, {})

    def loss(weights: Any, x: jax.Array, rest: Any) -> tuple[jax.Array, jax.Array]:
        inner = jax.tree.map(lambda leaf: leaf, rest)  # statistics that a gradient's own trace may change
        y = layer(x) if graph is None else nnx.merge(graph, weights, inner)(x)
        return jnp.sin(y * weighing).sum(), y

    (_, y), (of_weights, of_x) = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(weights, jnp.asarray(x), rest)
    if graph is None:
        return np.asarray(y), np.asarray(of_x), {}
    statistics = ("running_mean", "running_var")
    gradients = bridge.export(nnx.merge(graph, of_weights, rest))
    return np.asarray(y), np.asarray(of_x), {name: g for name, g in gradients.items() if name not in statistics}


def pairs(most: int) -> some.SearchStrategy[tuple[int, int]]:
    return some.tuples(some.integers(1, most), some.integers(1, most))


@given(pairs(12), pairs(4), pairs(3), pairs(4), pairs(3), some.integers(0, 2))
@settings(max_examples=40)
def test_any_window_over_any_image(pixels: Any, size: Any, stride: Any, padding: Any, dilation: Any, kind: int) -> None:
    """Rectangular in all of them; one group, two, and a window a channel."""
    channels, out, groups = ((3, 4, 1), (4, 6, 2), (5, 5, 5))[kind]
    assume(all(length + 2 * p > d * (s - 1) for length, p, d, s in zip(pixels, padding, dilation, size, strict=True)))
    theirs = torch.nn.Conv2d(channels, out, size, stride, padding, dilation, groups)
    ours = layers.Conv(channels, out, size, stride, padding, dilation, groups, rngs=nnx.Rngs(0))
    pair = Pair(theirs, ours, (2, *pixels, channels), first=True)
    same_weights(pair)
    x = RNG.normal(size=pair.shape).astype(np.float32)
    with torch.no_grad():  # float64: torch 2.13's float32 kernels ended the process by SIGSEGV over some windows
        expected = channels_last(theirs.double()(channels_first(torch.from_numpy(x).double()))).numpy()
    graph, state = nnx.split(ours)
    found = jax.jit(lambda state, x: nnx.merge(graph, state)(x))(state, jnp.asarray(x))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
