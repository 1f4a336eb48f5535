"""Image generation: handwritten digits out of noise, by diffusion.

Source: the digits that scikit-learn carries (Alpaydin & Kaynak, UCI 1998), 1797 of 8 x 8 grey values 0 to 16, read as a
file. Every fifth (index % 5 == 4) is held out: 1438 to train on, 359 to be compared with. What both tasks on these
digits share stands in `tasks/_digits.py`.

One worked example: the first digit of the file, a zero whose first line is `0 0 5 13 9 1 0 0`, is scaled to -1 (paper)
to 1 (ink). A training row is that image at a timestep of 1000 under noise; expected is its velocity,
sqrt(a) noise - sqrt(1 - a) image, where a is the image's share in the variance at that timestep.

Scenario `infer` is one step of the network on noised held-out digits, scored by `mse`. Scenario `generate` draws 512
digits in 25 steps of DDIM from noise that a seed fixes. They are compared with the 359 held-out ones on 32 principal
components of the training digits, pixels of 0 to 1: `frechet` is the distance of their means and covariances,
`precision` the share that lies among real digits.

What the figures tell (frechet, precision; 512 draws, three seeds): training digits themselves 0.13 to 0.15 and 0.90;
pixels drawn each by itself 1.2 and 0.09; a Gaussian with their mean and covariance 0.15 to 0.17 and 0.2, clipped to
the range of an image 0.27 to 0.31 and 0.5. `frechet` sees means and covariances alone: the Gaussian that leaves the
range wins by it against this network, and draws no digit. `precision` tells the two apart: read the target beside it.

Preset `base` is the network of diffusers' `train_unconditional.py` at 64 x 64 x 3 with random weights: it weighs
speed, memory and parity, and its score says nothing. It sees 16 digits whose pixels are patches of 8 x 8.
"""

from __future__ import annotations

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
)
from weighbridge.tasks import _digits as digits

NAME, ROWS = "image-generation", 512


def data(files: Files, split: Split, preset: Preset) -> Examples:
    """Noised digits, their timesteps, and the velocity to predict."""
    return digits.noised(NAME, split, preset)


def examples(files: Files, preset: Preset) -> Examples:
    """Noise to draw from."""
    start = digits.start(ROWS, preset)
    return Examples(inputs={"noise": start.inputs["noise"]}, targets={})


def prompts(files: Files, preset: Preset) -> Arrays:
    """The noise of one timed batch and more."""
    return examples(files, preset).inputs


def likeness(rows: Arrays) -> dict[str, float]:
    """How what was drawn compares with held-out digits."""
    return digits.likeness(NAME, digits.pixels(rows["image"]))


TASK = Task(
    name=NAME,
    family="generation",
    pattern="image generation",
    version=1,
    models={
        "small": ModelSpec(
            architecture="unet", config={**digits.SMALL, "sampling": {"steps": 25}}, weights=Trained(seed=0)
        ),
        "base": ModelSpec(
            architecture="unet", config={**digits.BASE, "sampling": {"steps": 50}}, weights=Seeded(seed=0)
        ),
    },
    data=data,
    score=digits.mse,
    generated=Generated(examples=examples, score=likeness),
    prompts=prompts,
    loss="mse",
    recipe=digits.RECIPE,
    target=Target(
        metric="frechet",
        value=0.24,
        higher_is_better=False,
        source="below the clipped Gaussian; two seeds of the recipe gave 0.208 and 0.195 (precision 0.85 and 0.83)",
    ),
    baseline=Target(
        metric="frechet",
        value=0.285,
        higher_is_better=False,
        source="a Gaussian of the training digits' mean and covariance, clipped to -1..1: 0.27 to 0.31",
    ),
    scenarios=("infer", "generate"),
    batch_size={"small": 32, "base": 16},
    generate_batch_size=16,
    item="image",
    latency_bound_s=0.5,
    source="digits (scikit-learn)",
    licence="CC BY 4.0 (digits), BSD-3-Clause (scikit-learn)",
)
