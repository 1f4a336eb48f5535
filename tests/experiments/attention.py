"""How far attention in half types is from float64, beside torch's own: `python -m tests.experiments.attention`."""

from __future__ import annotations

import numpy as np

SHAPES = ((8, 128, 12, 32), (1, 512, 9, 64))
"""(B, S, N, D): MiniLM's, and a longer prompt of SmolLM2's width."""


def rounded(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Normal figures that bfloat16 holds exactly, so that all sides are given the same."""
    import ml_dtypes

    drawn = np.random.default_rng(seed).normal(size=shape)
    return drawn.astype(ml_dtypes.bfloat16).astype(np.float32)


def errors(shape: tuple[int, ...], causal: bool) -> dict[str, float]:
    """RMSE against float64 of each attention in bfloat16, in units of torch's SDPA."""
    import jax.numpy as jnp
    import torch
    from torch.nn import functional

    from weighbridge.backends.flax_nnx import layers

    drawn = [rounded(shape, seed) for seed in range(3)]
    tensors = [torch.from_numpy(array).transpose(1, 2) for array in drawn]
    halves = [jnp.asarray(array, jnp.bfloat16) for array in drawn]
    seen = "causal" if causal else None

    def sdpa(dtype: torch.dtype) -> np.ndarray:
        y = functional.scaled_dot_product_attention(*(x.to(dtype) for x in tensors), is_causal=causal)
        return y.transpose(1, 2).double().numpy()

    oracle = sdpa(torch.float64)
    found = {
        "torch sdpa": sdpa(torch.bfloat16),
        "einsum": np.asarray(layers.attention(*halves, seen), np.float64),
        "jax.nn xla": np.asarray(layers.fused_attention(*halves, seen, "xla"), np.float64),
    }
    error = {name: float(np.sqrt(np.mean(np.square(y - oracle)))) for name, y in found.items()}
    return {name: value / error["torch sdpa"] for name, value in error.items()}


if __name__ == "__main__":
    for shape in SHAPES:
        for causal in (False, True):
            told = ", ".join(f"{name} {value:.2f}" for name, value in errors(shape, causal).items())
            print(f"{shape}{' causal' if causal else ''}: {told}")
