"""Conditional generation: the digit that is asked for, out of noise, by diffusion with classifier-free guidance.

Source: the digits that scikit-learn carries (Alpaydin & Kaynak, UCI 1998), as in `tasks/image_generation.py`: 1438 to
train on, 359 held out. A row has a label beside its image and timestep, 0 to 9; in a tenth of the training rows it is
hidden, which is label 10.

One worked example: the first digit of the file is a zero, so its rows have label 0 (or 10); expected is the velocity of
its noise. Drawn with label 0, expected is an image that a judge takes for a zero.

Scenario `infer` is one step of the network on noised held-out digits, scored by `mse`. Scenario `generate` draws 320
digits, 32 of each class, in 25 steps of DDIM, each of which asks the network with and without the label. `agreement`
is the share that the judge gives the label that was asked for: a support vector classifier fitted to the training
digits, which is right on 0.989 of those held out. `frechet` and `precision` are those of image-generation.

What the figures tell (agreement, frechet, precision): clipped draws from one Gaussian for each class reach 0.99, 0.21
and 0.90, and the means of the classes 1.00, 1.6 and 1.0. So agreement says that the network heeds its label and
nothing of variety, and these small digits do not tell a good sampler from a Gaussian that knows the classes. Guidance
trades: of seed 0, 1 gives 0.98, 0.17 and 0.89, 1.5 gives 1.00, 0.26 and 0.92, 2 gives 0.96, 0.55 and 0.80, and 3
gives 0.28.

Preset `base` is the network of diffusers' `train_unconditional.py` with classes, at 64 x 64 x 3, with random weights:
it weighs speed, memory and parity, and its score says nothing. It sees 16 digits whose pixels are patches of 8 x 8.
"""

from __future__ import annotations

import numpy as np

from weighbridge.bench.core import (
    Arrays,
    Examples,
    Files,
    Generated,
    ModelSpec,
    Preset,
    Seeded,
    Split,
    Target,
    Task,
    Trained,
    metrics,
)
from weighbridge.tasks import _digits as digits

NAME, ROWS, WITHOUT_CLASS = "conditional-generation", 320, 0.1
LABELS = {"num_class_embeds": digits.CLASSES + 1}


def data(files: Files, split: Split, preset: Preset) -> Examples:
    """Noised digits, their timesteps and labels, and the velocity to predict."""
    return digits.noised(NAME, split, preset, WITHOUT_CLASS)


def examples(files: Files, preset: Preset) -> Examples:
    """Noise to draw from, and the labels that are asked for."""
    return digits.start(ROWS, preset)


def prompts(files: Files, preset: Preset) -> Arrays:
    """Noise and labels of one timed batch and more."""
    return examples(files, preset).inputs


def judged(rows: Arrays) -> dict[str, float]:
    """Whether a classifier sees what was asked for, and how what was drawn compares with held-out digits."""
    drawn_NP = digits.pixels(rows["image"])
    agreement = metrics.accuracy(rows["label"], judge(drawn_NP))
    return {"agreement": agreement, **digits.likeness(NAME, drawn_NP)}


def judge(image_NP: np.ndarray) -> np.ndarray:
    """Labels (N,) by a classifier that knows the training digits alone. Fitting it takes a tenth of a second."""
    from sklearn.svm import SVC

    known = digits.digits(NAME)["train"]
    return SVC(C=5.0).fit(known.image.astype(np.float64), known.label).predict(image_NP)


TASK = Task(
    name=NAME,
    family="generation",
    pattern="conditional generation",
    version=1,
    models={
        "small": ModelSpec(
            architecture="unet",
            config={**digits.SMALL, **LABELS, "sampling": {"steps": 25, "guidance": 1.5}},
            weights=Trained(seed=0),
        ),
        "base": ModelSpec(
            architecture="unet",
            config={**digits.BASE, **LABELS, "sampling": {"steps": 50, "guidance": 1.5}},
            weights=Seeded(seed=0),
        ),
    },
    data=data,
    score=digits.mse,
    generated=Generated(examples=examples, score=judged),
    prompts=prompts,
    loss="mse",
    recipe=digits.RECIPE,
    target=Target(
        metric="agreement",
        value=0.9,
        higher_is_better=True,
        source="the project's aim; two seeds of the recipe gave 1.000 and 0.997",
    ),
    baseline=Target(
        metric="agreement",
        value=0.1,
        higher_is_better=True,
        source="chance, one of ten; a Gaussian for each class reaches 0.99",
    ),
    scenarios=("infer", "generate"),
    batch_size={"small": 32, "base": 16},
    generate_batch_size=16,
    item="image",
    latency_bound_s=0.5,
    source="digits (scikit-learn)",
    licence="CC BY 4.0 (digits), BSD-3-Clause (scikit-learn)",
)
