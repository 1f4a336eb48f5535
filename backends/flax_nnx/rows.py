"""Projections as a CPU decodes fastest: joined where they have one input, and a row an output.

XLA:CPU streams weights well only through a matrix that lies a row an output, times *one* vector: `Projecting.join`
lays them so, and `by_rows` cuts small batches into vectors (docs/lab-notes.md has the timings).

Shapes: B batch, S positions, H inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax

from weighbridge.backends.flax_nnx import layers

FEW_ROWS = 8
"""Up to here, reading a weight once a row beats XLA:CPU's matrix product, which repacks the weight first."""


class Rows(nnx.Module):
    """Several projections of one input as one matrix that lies a row an output."""

    def __init__(self, parts: Sequence[layers.Linear]) -> None:
        self.weight = nnx.Param(np.concatenate([np.asarray(part.kernel[...]).T for part in parts]))
        biases = [np.asarray(part.bias[...]) for part in parts if part.bias is not None]
        self.bias = nnx.data(nnx.Param(np.concatenate(biases)) if biases else None)
        self.ends = tuple(np.cumsum([part.out_features for part in parts])[:-1].tolist())

    def __call__(self, x_BSH: Array) -> list[Array]:
        y_BSO = by_rows(x_BSH, self.weight[...])
        return jnp.split(y_BSO if self.bias is None else y_BSO + self.bias[...][None, None], self.ends, -1)


class Projecting(nnx.Module):
    """What owns projections and can join those of one input. `rows` holds the joined ones, under the first's name."""

    def __init__(self) -> None:
        self.rows = nnx.data(dict[str, Rows]())

    def project(self, x_BSH: Array, *names: str) -> list[Array]:
        """One output a name."""
        if names[0] in self.rows:
            return self.rows[names[0]](x_BSH)
        return [getattr(self, name)(x_BSH) for name in names]

    def join(self, *names: str) -> None:
        """From now on the projections `names` are one."""
        self.rows[names[0]] = Rows([getattr(self, name) for name in names])
        for name in names:
            delattr(self, name)


def by_rows(x_BSH: Array, rows_OH: Array) -> Array:
    """x times the transpose of `rows_OH`; on a CPU, few positions go one by one."""
    positions: Any = x_BSH.shape[0] * x_BSH.shape[1]
    if not isinstance(positions, int) or positions > FEW_ROWS:  # a symbol, while a program for any batch is exported
        return _at_once(x_BSH, rows_OH)
    return lax.platform_dependent(x_BSH, rows_OH, cpu=_one_by_one, default=_at_once)


def _at_once(x_BSH: Array, rows_OH: Array) -> Array:
    return jnp.einsum("bsh,oh->bso", x_BSH, rows_OH)


def _one_by_one(x_BSH: Array, rows_OH: Array) -> Array:
    y = [rows_OH @ x_H for x_H in x_BSH.reshape(-1, x_BSH.shape[-1])]
    return jnp.stack(y).reshape(*x_BSH.shape[:2], -1)
