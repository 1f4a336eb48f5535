"""The layers that are ours, each against PyTorch's, where a model's shapes would not reach."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch.nn import functional

from tests.experiments import attention
from weighbridge.backends.flax_nnx import bridge, layers
from weighbridge.backends.flax_nnx.layers.convolve import Window, convolve
from weighbridge.bench.core import WeighbridgeError

RNG = np.random.default_rng(3)

pytestmark = pytest.mark.usefixtures("strict_jax")


def _draw(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("pixels", [(1, 1), (2, 3), (7, 5), (14, 9)])
@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(1, 1, 0), (1, 2, 0), (2, 3, 0), (3, 1, 1), (3, 2, 1), (7, 2, 3)]
)
def test_convolution(pixels: tuple[int, int], size: int, stride: int, padding: int) -> None:
    if min(pixels) + 2 * padding < size:
        pytest.skip("PyTorch takes no window larger than the image")
    x_BHWC, kernel_hwCO = _draw(2, *pixels, 3), _draw(size, size, 3, 4)
    x, kernel = torch.from_numpy(x_BHWC).permute(0, 3, 1, 2), torch.from_numpy(kernel_hwCO).permute(3, 2, 0, 1)
    expected = functional.conv2d(x, kernel, stride=stride, padding=padding).permute(0, 2, 3, 1).numpy()
    window = Window((stride, stride), (padding, padding))
    out = convolve(jnp.asarray(x_BHWC), jnp.asarray(kernel_hwCO), window)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pixels", [(1, 1), (7, 4)])
def test_pooling_at_odd_edges(pixels: tuple[int, int]) -> None:
    x_BHWC = _draw(2, *pixels, 3)
    x = torch.from_numpy(x_BHWC).permute(0, 3, 1, 2)
    average = functional.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)
    largest = functional.max_pool2d(x, 3, 2, 1)
    out = layers.avg_pool(jnp.asarray(x_BHWC), 2), layers.max_pool(jnp.asarray(x_BHWC), 3, 2, 1)
    for ours, theirs in zip(out, (average, largest), strict=True):
        np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1).numpy(), rtol=1e-6)


def test_batch_norm_keeps_pytorchs_statistics() -> None:
    """The unbiased running variance, and a momentum that weighs the new value."""
    theirs, ours = torch.nn.BatchNorm2d(3), layers.BatchNorm(3, rngs=nnx.Rngs(0))
    ours.train()
    for _ in range(3):
        x_BHWC = _draw(4, 2, 3, 3)
        expected = theirs(torch.from_numpy(x_BHWC).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).detach().numpy()
        np.testing.assert_allclose(ours(jnp.asarray(x_BHWC)), expected, rtol=1e-4, atol=1e-5)
    for name, value in bridge.export(ours).items():
        np.testing.assert_allclose(value, theirs.state_dict()[name].numpy(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["einsum", "xla"])
def test_attention_adds_a_bias_to_its_scores(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(layers.ATTENTION_VARIABLE, kind)
    q_BSND, k_BTKD, v_BTKD, bias_NST = _draw(2, 5, 6, 4), _draw(2, 7, 6, 4), _draw(2, 7, 6, 4), _draw(6, 5, 7)
    q, k, v = (torch.from_numpy(x).transpose(1, 2) for x in (q_BSND, k_BTKD, v_BTKD))
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=torch.from_numpy(bias_NST)).transpose(1, 2)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        given = map(jnp.asarray, (q_BSND, k_BTKD, v_BTKD))
        out = layers.attention(*given, bias_BKGST=jnp.asarray(bias_NST)[None, :, None])
    np.testing.assert_allclose(out, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_grouped_queries_share_their_keys() -> None:
    q_BSND, k_BTKD, v_BTKD = _draw(2, 5, 6, 4), _draw(2, 7, 2, 4), _draw(2, 7, 2, 4)
    mask_ST = np.tril(np.ones((5, 7), bool), 2)
    q, k, v = (torch.from_numpy(x).transpose(1, 2) for x in (q_BSND, k_BTKD, v_BTKD))
    mask = torch.from_numpy(mask_ST)
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True).transpose(1, 2)
    out = layers.attention(*map(jnp.asarray, (q_BSND, k_BTKD, v_BTKD)), jnp.asarray(mask_ST)[None, None, None])
    np.testing.assert_allclose(out, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", attention.SHAPES)
def test_attention_in_bfloat16_rounds_no_more_than_torchs(shape: tuple[int, ...], causal: bool) -> None:
    """Scores that were rounded before the softmax were at 2.0 to 2.3 times the error of torch's."""
    with jax.numpy_dtype_promotion("standard"):  # JAX's own, which stands beside ours, promotes
        assert attention.errors(shape, causal)["einsum"] < 1.2


def test_what_is_known_of_a_mask_is_the_mask() -> None:
    q, k, v = (jnp.asarray(_draw(2, 5, heads, 8)) for heads in (6, 2, 2))
    triangle, three = np.tril(np.ones((5, 5), bool)), np.arange(5) < 3
    filled = layers.Filled(jnp.asarray(3, jnp.int32))
    for seen, mask in (("causal", triangle[None, None, None]), (filled, three[None, None, None, None])):
        told = layers.attention(q, k, v, jnp.asarray(mask))
        np.testing.assert_allclose(layers.attention(q, k, v, seen), told, rtol=1e-6)
        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
            np.testing.assert_allclose(layers.fused_attention(q, k, v, seen, "xla"), told, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 1, 1, 1, 8), (1, 1, 1, 6, 8), (3, 2, 3, 6, 8)])
def test_cudnn_is_handed_masks_that_it_takes(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its checks run as programs are traced. A mask of keys alone was refused: it wants a row a query."""
    monkeypatch.setattr("jax._src.cudnn.fused_attention_stablehlo.check_cudnn_version", lambda: 91000)
    q, k = (jnp.zeros((3, length, heads, 16), jnp.bfloat16) for length, heads in ((6, 6), (8, 2)))
    seen = jnp.asarray(RNG.random(shape) < 0.7)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        told = jax.eval_shape(lambda: layers.fused_attention(q, k, k, seen, "cudnn"))
        wide = [x.astype(jnp.float32) + 1 for x in (q, k, k)]
        np.testing.assert_allclose(
            layers.fused_attention(*wide, seen, "xla"), layers.einsum_attention(*wide, seen), rtol=1e-5, atol=1e-5
        )
    assert told.shape == q.shape


@pytest.mark.parametrize(
    ("platform", "dtype", "queries", "width", "kind"),
    [
        ("cpu", jnp.bfloat16, 9, 64, "einsum"),
        ("gpu", jnp.bfloat16, 9, 64, "cudnn"),
        ("gpu", jnp.float32, 9, 64, "einsum"),
        ("gpu", jnp.float16, 1, 64, "einsum"),
        ("gpu", jnp.float16, 9, 20, "einsum"),
        ("gpu", jnp.float16, 9, 256, "einsum"),
        ("tpu", jnp.bfloat16, 9, 64, "einsum"),
    ],
)
def test_attention_is_chosen_by_platform_dtype_and_shape(
    platform: str, dtype: Any, queries: int, width: int, kind: str
) -> None:
    assert layers.fitting(platform, jnp.zeros((1, queries, 1, width), dtype)) == kind


def test_an_attention_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(layers.ATTENTION_VARIABLE, "flash")
    with pytest.raises(WeighbridgeError, match="einsum, xla or cudnn, not flash"):
        layers.chosen_attention()


def test_rms_norm() -> None:
    x, weight = _draw(3, 5, 8), _draw(8)
    ours = layers.RMSNorm(8, 1e-5, rngs=nnx.Rngs(0))
    bridge.load(ours, {"weight": weight})
    expected = functional.rms_norm(torch.from_numpy(x), (8,), torch.from_numpy(weight), 1e-5).numpy()
    np.testing.assert_allclose(ours(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)


def test_token_out_of_range_is_loud() -> None:
    assert jnp.isnan(layers.Embed(4, 2, rngs=nnx.Rngs(0))(jnp.array([9]))).all()
