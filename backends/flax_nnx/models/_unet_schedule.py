"""diffusers' DDIMScheduler without noise of its own (eta 0), in numpy: what each step multiplies by.

Timesteps and the image's shares are those that the reference computes in float32, bit for bit, also where images are
float64: twin and oracle then take the same steps, and what is compared is the network. Roots are rounded correctly
here; PyTorch's are an ulp off in a fifth of the cases.

Shapes: T training timesteps, N steps of sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from weighbridge.bench.core import WeighbridgeError

Floats = np.ndarray
IDLE = frozenset({"dynamic_thresholding_ratio", "sample_max_value"})
"""They speak of thresholding, which is refused."""


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """What of DDIMScheduler's options is honoured, with its defaults."""

    num_train_timesteps: int = 1000
    beta_start: float = 0.0001
    beta_end: float = 0.02
    beta_schedule: str = "linear"
    trained_betas: None = None
    clip_sample: bool = True
    clip_sample_range: float = 1.0
    set_alpha_to_one: bool = True
    steps_offset: int = 0
    prediction_type: str = "epsilon"
    thresholding: bool = False
    timestep_spacing: str = "leading"
    rescale_betas_zero_snr: bool = False

    def __post_init__(self) -> None:
        refuse_unknown(self, _KNOWN, "schedule")


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How many steps an image takes, and how far from what is predicted without a class; 1 is no guidance."""

    steps: int = 50
    guidance: float = 1.0


class Steps(NamedTuple):
    """Of each step, (N,): its timestep, int32; roots of the shares of image and noise in it and after it, float32.

    numpy's arrays, or JAX's while a program is traced.
    """

    timestep: Any
    image: Any
    noise: Any
    next_image: Any
    next_noise: Any


def steps(s: Scheduler, count: int) -> Steps:
    """The steps from noise to an image."""
    if not 0 < count <= s.num_train_timesteps:
        raise WeighbridgeError(f"steps are 1 to {s.num_train_timesteps}, the schedule's num_train_timesteps")
    timestep_N = _SPACINGS[s.timestep_spacing](s, count).astype(np.int32)
    if timestep_N[0] >= s.num_train_timesteps:
        raise WeighbridgeError(f"steps_offset {s.steps_offset} leads past num_train_timesteps {s.num_train_timesteps}")
    share_T, one = shares(s), np.float32(1)
    last = one if s.set_alpha_to_one else share_T[0]
    after_N = timestep_N - s.num_train_timesteps // count
    share_N, next_N = share_T[timestep_N], np.where(after_N >= 0, share_T[np.maximum(after_N, 0)], last)
    return Steps(timestep_N, np.sqrt(share_N), np.sqrt(one - share_N), np.sqrt(next_N), np.sqrt(one - next_N))


def shares(s: Scheduler) -> Floats:
    """The image's share in the variance at each training timestep (T,): `alphas_cumprod`."""
    factor_T = 1 - _BETAS[s.beta_schedule](s)
    return np.cumprod(factor_T.astype(np.float64)).astype(np.float32)  # torch, too, multiplies in double


def _between(first: float, last: float, count: int) -> Floats:
    """torch.linspace of float32: counted from the nearer end, by a step of float32, rounded once."""
    low, high, index = np.float32(first), np.float32(last), np.arange(count)
    step = np.float64((high - low) / np.float32(max(count - 1, 1)))
    up, down = np.float64(low) + step * index, np.float64(high) - step * (count - 1 - index)
    return np.where(index < count // 2, up, down).astype(np.float32)


def _cosine(s: Scheduler) -> Floats:
    """Nichol & Dhariwal 2021."""

    def left(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    at = [left(index / s.num_train_timesteps) for index in range(s.num_train_timesteps + 1)]
    return np.array([min(1 - after / now, 0.999) for now, after in pairwise(at)], np.float32)


_BETAS: dict[str, Callable[[Scheduler], Floats]] = {
    "linear": lambda s: _between(s.beta_start, s.beta_end, s.num_train_timesteps),
    "scaled_linear": lambda s: np.square(_between(s.beta_start**0.5, s.beta_end**0.5, s.num_train_timesteps)),
    "squaredcos_cap_v2": _cosine,
}
_SPACINGS: dict[str, Callable[[Scheduler, int], Floats]] = {
    "leading": lambda s, n: np.arange(n)[::-1] * (s.num_train_timesteps // n) + s.steps_offset,
    "trailing": lambda s, n: np.round(np.arange(s.num_train_timesteps, 0, -s.num_train_timesteps / n)) - 1,
    "linspace": lambda s, n: np.linspace(0, s.num_train_timesteps - 1, n).round()[::-1],
}
_KNOWN: dict[str, Sequence[Any]] = {
    "beta_schedule": tuple(_BETAS),
    "timestep_spacing": tuple(_SPACINGS),
    "prediction_type": ("epsilon", "sample", "v_prediction"),
    "thresholding": (False,),
    "trained_betas": (None,),
    "rescale_betas_zero_snr": (False,),  # it goes by PyTorch's roots, so its shares could not be had bit for bit
}


def refuse_unknown(options: Any, known: dict[str, Sequence[Any]], of: str) -> None:
    """Raises WeighbridgeError for an option, or a member of one that is a list, that is not among the known."""
    for option, there in known.items():
        asked = getattr(options, option)
        for each in asked if isinstance(asked, list | tuple) else [asked]:
            if each not in there:
                raise WeighbridgeError(f"the UNet twin's {of} has no {option} {each!r}; it has {_listed(there)}")


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(repr, values))
