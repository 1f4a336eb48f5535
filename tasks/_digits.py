"""What the two tasks that draw digits share: the digits, noised rows to train on, and what drawn digits are held to.

A row is noised here and not while it is trained on, so that the common recipe and a plain mean squared error train
the network: each clean digit comes many times, each time at a timestep and under noise of its own.

Shapes: N rows, P pixels of a digit (64), K components, T timesteps.
"""

from __future__ import annotations

import gzip
import math
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from weighbridge.bench.core import Examples, Preset, Recipe, Split
from weighbridge.bench.core.installed import library_file

CSV, SHA256 = "datasets/data/digits.csv.gz", "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
SIDE, CLASSES, HELD_OUT, TIMESTEPS = 8, 10, 5, 1000
NO_CLASS = CLASSES
"""The label of a row that is trained on without one, which guidance wants."""
COPIES: dict[Split, int] = {"train": 32, "eval": 4}
LARGE_SIDE, LARGE_CHANNELS, LARGE_ROWS = 64, 3, 16
COMPONENTS, NEIGHBOURS = 32, 3
Array = np.ndarray

SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": TIMESTEPS,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "clip_sample": True,
}
SMALL: dict[str, Any] = {
    "sample_size": SIDE,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": [24, 48],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "attention_head_dim": 16,
    "norm_num_groups": 8,
    "scheduler": SCHEDULER,
}
BASE: dict[str, Any] = {
    "sample_size": LARGE_SIDE,
    "in_channels": LARGE_CHANNELS,
    "out_channels": LARGE_CHANNELS,
    "block_out_channels": [128, 128, 256, 256, 512, 512],
    "layers_per_block": 2,
    "down_block_types": [*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4],
    "scheduler": SCHEDULER,
}
"""The network of diffusers' own example, `train_unconditional.py`, at the resolution that it takes by default."""
RECIPE = Recipe(epochs=1, batch_size=64, peak_learning_rate=3e-3, weight_decay=0.01, warmup_fraction=0.1)
"""One epoch: a digit's copies are its epochs."""


class Digits(NamedTuple):
    """Images of -1 (paper) to 1 (ink), (N, P), and labels (N,)."""

    image: Array
    label: Array


@cache
def digits(task: str) -> dict[Split, Digits]:
    """Every fifth is held out."""
    lines = gzip.decompress(library_file(task, "sklearn", CSV, SHA256)).decode().splitlines()
    table = np.array([line.split(",") for line in lines], np.float32)
    image_NP, label_N = table[:, :-1] / 8 - 1, table[:, -1].astype(np.int64)
    held_out_N = np.arange(len(table)) % HELD_OUT == HELD_OUT - 1
    return {
        "train": Digits(image_NP[~held_out_N], label_N[~held_out_N]),
        "eval": Digits(image_NP[held_out_N], label_N[held_out_N]),
    }


def noised(task: str, split: Split, preset: Preset, without_class: float | None = None) -> Examples:
    """Rows at random timesteps, and the velocity that is to be predicted of each (Salimans & Ho 2022).

    `without_class` is the share of the training rows whose label is hidden; None is a network without classes.
    """
    rng = np.random.default_rng({"train": 0, "eval": 1}[split])
    clean_NHWC, label_N = _clean(digits(task)[split], COPIES[split], preset)
    timestep_N = rng.integers(0, TIMESTEPS, len(label_N))
    noise_NHWC = rng.standard_normal(clean_NHWC.shape, np.float32)
    share_N111 = shares()[timestep_N].reshape(-1, 1, 1, 1)
    signal, rest = np.sqrt(share_N111).astype(np.float32), np.sqrt(1 - share_N111).astype(np.float32)
    inputs = {"image": signal * clean_NHWC + rest * noise_NHWC, "timestep": timestep_N}
    if without_class is not None:
        hidden_N = (rng.random(len(label_N)) < without_class) & (split == "train")
        inputs["label"] = np.where(hidden_N, NO_CLASS, label_N)
    return Examples(inputs=inputs, targets={"target": signal * noise_NHWC - rest * clean_NHWC})


def _clean(found: Digits, copies: int, preset: Preset) -> tuple[Array, Array]:
    """Digits as the preset's network takes them, each `copies` times; of the large ones a few."""
    image_NHWC = found.image.reshape(-1, SIDE, SIDE, 1)
    if preset == "small":
        return np.tile(image_NHWC, (copies, 1, 1, 1)), np.tile(found.label, copies)
    times = LARGE_SIDE // SIDE
    large_NHWC = image_NHWC[:LARGE_ROWS].repeat(times, 1).repeat(times, 2).repeat(LARGE_CHANNELS, 3)
    return large_NHWC, found.label[:LARGE_ROWS]


@cache
def shares() -> Array:
    """The image's share in the variance at each timestep (T,): Nichol & Dhariwal's cosine, as diffusers has it."""

    def left(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    at = [left(index / TIMESTEPS) for index in range(TIMESTEPS + 1)]
    return np.cumprod([max(after / now, 0.001) for now, after in pairwise(at)])


def start(rows: int, preset: Preset) -> Examples:
    """Noise to draw `rows` digits from, of the large ones a few, and labels that take turns."""
    count, side, channels = (
        (rows, SIDE, 1) if preset == "small" else (LARGE_ROWS, LARGE_SIDE, LARGE_CHANNELS)
    )  # fmt: skip
    noise = np.random.default_rng(2).standard_normal((count, side, side, channels), np.float32)
    label_N = np.arange(count) % CLASSES
    return Examples(inputs={"noise": noise, "label": label_N}, targets={"label": label_N})


def pixels(image_NHWC: Array) -> Array:
    """Drawn images as the digits are, (N, P) in float64: a large one by the means of its patches."""
    count, side = image_NHWC.shape[0], image_NHWC.shape[1]
    parts = np.asarray(image_NHWC, np.float64).reshape(count, SIDE, side // SIDE, SIDE, side // SIDE, -1)
    return parts.mean(axis=(2, 4, 5)).reshape(count, SIDE * SIDE)


def likeness(task: str, drawn_NP: Array) -> dict[str, float]:
    """How drawn digits compare with those held out, by the components of the training digits."""
    known, held = digits(task)["train"].image.astype(np.float64), digits(task)["eval"].image.astype(np.float64)
    centre_P = known.mean(axis=0)
    axes_KP = np.linalg.svd(known - centre_P, full_matrices=False)[2][:COMPONENTS]
    # of 0 to 1, as such distances of pixels are given
    drawn_NK, held_NK = ((image_NP - centre_P) / 2 @ axes_KP.T for image_NP in (drawn_NP, held))
    return {"frechet": frechet_distance(drawn_NK, held_NK), "precision": manifold_precision(drawn_NK, held_NK)}


def frechet_distance(one_NK: Array, other_NK: Array) -> float:
    """Between the Gaussians that have the means and covariances of two sets (Heusel et al. 2017, there of features)."""
    apart = one_NK.mean(axis=0) - other_NK.mean(axis=0)
    cov_one, cov_other = np.cov(one_NK.T), np.cov(other_NK.T)
    values, axes = np.linalg.eigh(cov_one)
    root = axes * np.sqrt(np.maximum(values, 0)) @ axes.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_other @ root), 0)).sum()
    return float(apart @ apart + np.trace(cov_one) + np.trace(cov_other) - 2 * shared)


def manifold_precision(drawn_NK: Array, real_NK: Array) -> float:
    """Share of what is drawn that lies as near to a real one as that one's third neighbour (Kynkaanniemi et al. 2019).

    A Gaussian has the right mean and covariance and draws no digit: this is the figure that tells.
    """
    reach_N = np.sort(_distances(real_NK, real_NK), axis=1)[:, NEIGHBOURS]
    return float(np.mean((_distances(drawn_NK, real_NK) <= reach_N).any(axis=1)))


def _distances(one_NK: Array, other_MK: Array) -> Array:
    return np.sqrt(np.square(one_NK[:, None] - other_MK[None]).sum(axis=-1))


def mse(rows: dict[str, Array]) -> dict[str, float]:
    """Mean squared error of the predicted velocity, whose own variance is near 1."""
    apart = np.asarray(rows["prediction"], np.float64) - rows["target"]
    return {"mse": float(np.mean(np.square(apart)))}
