"""How the reference makes weights: by a task's recipe, or by chance. Deterministic from the seed.

AdamW under a one-cycle schedule (Smith & Topin 2017, as `torch.optim.lr_scheduler.OneCycleLR` has it). Every
figure comes from the recipe; batches are drawn without replacement in an order that the seed fixes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from weighbridge.backends.torch_nn import models as torch_models
from weighbridge.backends.torch_nn.losses import LOSSES
from weighbridge.bench.core import Arrays, Examples, ModelSpec, Recipe, Training

RANDOM_SCALE = 0.02
"""Standard deviation of seeded weights, as BERT and GPT-2 initialise theirs."""


def train(model: ModelSpec, training: Training, start: Arrays | None = None) -> Arrays:
    """The weights after the recipe's last step: PyTorch names and layouts, float32.

    What `start` holds is trained from there on, and refused where the model has no such weight; the rest is drawn.
    """
    torch.manual_seed(training.seed)
    torch.set_flush_denormal(True)  # moments decay into denormals, on which a processor is ten times slower
    module = torch_models.build(model).train()
    torch_models.load_some(module, start or {})
    forward, loss = torch_models.forward(model), LOSSES[training.loss]
    recipe, examples = training.recipe, training.examples
    steps = recipe.epochs * (len(examples) // recipe.batch_size)
    optimizer, schedule = optimization(module, recipe, steps)
    for index, (inputs, targets) in enumerate(batches(examples, recipe, training.seed)):
        optimizer.zero_grad()
        loss(forward(module, inputs), targets).backward()
        optimizer.step()
        schedule.step()
        training.progress((index + 1) / steps)
    return torch_models.state(module.eval())


def optimization(module: torch.nn.Module, recipe: Recipe, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    """AdamW and its one-cycle schedule, as the recipe says."""
    optimizer = torch.optim.AdamW(
        module.parameters(), recipe.peak_learning_rate, recipe.betas, recipe.eps, recipe.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.peak_learning_rate, steps, pct_start=recipe.warmup_fraction, cycle_momentum=False
    )
    return optimizer, schedule


Batch = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]


def batches(examples: Examples, recipe: Recipe, seed: int) -> Iterator[Batch]:
    """Every epoch a fresh order; a remainder smaller than a batch is left out of that epoch."""
    rng = np.random.default_rng(seed)
    for _ in range(recipe.epochs):
        order = rng.permutation(len(examples))
        for start in range(0, len(order) - recipe.batch_size + 1, recipe.batch_size):
            chosen = order[start : start + recipe.batch_size]
            yield _rows(examples.inputs, chosen), _rows(examples.targets, chosen)


def _rows(arrays: Arrays, chosen: np.ndarray) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array[chosen]) for name, array in arrays.items()}


def seeded(model: ModelSpec, seed: int) -> Arrays:
    """Every weight drawn: matrices by fan-in, scales near 1, variances positive, the rest small.

    A library's own initialisation zeroes some layers, and parity would then pass vacuously (rule 20).
    """
    rng = np.random.default_rng(seed)
    state = torch_models.state(torch_models.build(model))
    return {name: _drawn(rng, name, array) for name, array in sorted(state.items())}


def _drawn(rng: np.random.Generator, name: str, like: np.ndarray) -> np.ndarray:
    leaf = name.rpartition(".")[2]
    noise = rng.standard_normal(like.shape, np.float32)
    if leaf == "running_var":
        return 1 + 0.1 * np.abs(noise)
    if leaf == "weight" and like.ndim == 1:
        return 1 + 0.1 * noise
    if like.ndim >= 2:
        return noise * np.float32(np.prod(like.shape[1:]) ** -0.5)
    return RANDOM_SCALE * noise
