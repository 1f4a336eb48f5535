"""Whole images of the UNet twin against diffusers' DDIM in float64, its schedule, and what it refuses."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
import torch
from flax import nnx

from tests.parity.case import Case
from tests.parity.cases.unet import LABELLED, SMALL
from weighbridge.backends.flax_nnx import models
from weighbridge.backends.flax_nnx.models import _unet_schedule as schedule
from weighbridge.backends.flax_nnx.models import unet as twin
from weighbridge.backends.flax_nnx.models._unet_schedule import Scheduler
from weighbridge.backends.torch_nn import models as torch_models
from weighbridge.backends.torch_nn.architectures import unet as reference
from weighbridge.bench.core import Arrays, ModelSpec, Seeded, WeighbridgeError
from weighbridge.bench.measure import parity
from weighbridge.tasks import _digits

pytestmark = pytest.mark.usefixtures("strict_jax")

SCHEDULES: dict[str, dict[str, Any]] = {
    "diffusers' own": {},
    "trailing": {"beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "trailing", "num_train_timesteps": 200},
    "scaled": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1},
    "linspace": {"timestep_spacing": "linspace", "set_alpha_to_one": False, "num_train_timesteps": 37},
}
IMAGES: dict[str, dict[str, Any]] = {
    "epsilon": {**SMALL, "scheduler": {"clip_sample_range": 1.5}, "sampling": {"steps": 7}},
    "v": {**SMALL, "scheduler": {"prediction_type": "v_prediction", "clip_sample": False}, "sampling": {"steps": 5}},
    "sample": {**SMALL, "scheduler": {"prediction_type": "sample", "steps_offset": 1}, "sampling": {"steps": 4}},
    "labelled": {**LABELLED, "scheduler": SCHEDULES["linspace"], "sampling": {"steps": 6}},
    "guided": {**LABELLED, "scheduler": SCHEDULES["trailing"], "sampling": {"steps": 6, "guidance": 2.5}},
}


class Drawn(Case):
    """A case whose outputs are whole images."""

    def drawn(self, dtype: torch.dtype) -> Arrays:
        module = torch_models.build(self.model)
        torch_models.load_state(module, self.weights)
        tensors = {name: torch.from_numpy(array) for name, array in self.inputs.items()}
        inputs = {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}
        with torch.inference_mode():
            image = reference.sample(module.to(dtype), inputs)["image"]
        assert image.dtype == dtype
        return {"image": image.double().numpy()}

    def drawn_by_the_twin(self, dtype: Any) -> Arrays:
        cast = jax.tree.map(lambda leaf: leaf.astype(dtype), nnx.state(self.twin(), nnx.Param))
        module: Any = self.twin()
        nnx.update(module, cast)
        graph, state = nnx.split(module)
        inputs = {name: array.astype(_dtype(array, dtype)) for name, array in self.inputs.items()}
        image = jax.jit(lambda state, inputs: twin.sample(nnx.merge(graph, state), inputs))(state, inputs)["image"]
        assert image.dtype == dtype
        return {"image": np.asarray(image, np.float64)}


def _dtype(array: np.ndarray, dtype: Any) -> Any:
    return dtype if np.issubdtype(array.dtype, np.floating) else np.int32


def drawn(name: str) -> Drawn:
    config = IMAGES[name]
    labels = config.get("num_class_embeds", 0)

    def draw(rng: np.random.Generator) -> Arrays:
        noise = rng.normal(size=(5, 8, 12, 2)).astype(np.float32)
        return {"noise": noise, "label": rng.integers(0, labels - 1, 5)} if labels else {"noise": noise}

    return Drawn(ModelSpec(architecture="unet", config=config, weights=Seeded(seed=0)), draw)


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_the_references(name: str) -> None:
    case = drawn(name)
    torchs, oracle = case.drawn(torch.float32), case.drawn(torch.float64)
    verdict = parity.judge(case.drawn_by_the_twin(jax.numpy.float32), torchs, oracle, "", "fp32")
    assert verdict.passed, f"{verdict.ratio} times PyTorch's error"
    assert oracle["image"].std(axis=0).mean() > 0.02


def test_images_in_bfloat16_are_as_near_as_the_references() -> None:
    case = drawn("guided")
    torchs, oracle = case.drawn(torch.bfloat16), case.drawn(torch.float64)
    assert parity.judge(case.drawn_by_the_twin(jax.numpy.bfloat16), torchs, oracle, "", "bf16").passed


def test_a_compiled_forward_pass_draws_the_same() -> None:
    """As backends have it: `forward` of the module is replaced, and `sample` goes on calling the module."""
    case = drawn("guided")
    module: Any = torch_models.build(case.model)
    torch_models.load_state(module, case.weights)
    inputs = {name: torch.from_numpy(array) for name, array in case.inputs.items()}
    with torch.inference_mode():
        expected = reference.sample(module, inputs)["image"]
        compiled = torch.compile(module, backend="eager", fullgraph=True)
        torch.testing.assert_close(reference.sample(compiled, inputs)["image"], expected)
        module.forward = torch.compile(module.forward, backend="eager", fullgraph=True)
        torch.testing.assert_close(reference.sample(module, inputs)["image"], expected)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("count", [1, 7, 36])
def test_timesteps_and_shares_are_diffusers_bit_for_bit(name: str, count: int) -> None:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    theirs = DDIMScheduler(**SCHEDULES[name])
    theirs.set_timesteps(count)
    ours = Scheduler(**SCHEDULES[name])
    taken = schedule.steps(ours, count)
    np.testing.assert_array_equal(schedule.shares(ours), theirs.alphas_cumprod.numpy())
    np.testing.assert_array_equal(taken.timestep, theirs.timesteps.numpy())
    shares = [theirs.alphas_cumprod[time] for time in theirs.timesteps]
    np.testing.assert_allclose(taken.image, [(share**0.5).item() for share in shares], rtol=2e-7)
    np.testing.assert_allclose(taken.noise, [((1 - share) ** 0.5).item() for share in shares], rtol=2e-7)


def test_the_digits_are_noised_by_the_schedule_that_draws_them() -> None:
    ours = schedule.shares(Scheduler(**_digits.SCHEDULER))
    np.testing.assert_allclose(_digits.shares(), ours.astype(np.float64), rtol=1e-4)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("time_embedding_type", "fourier"),
        ("down_block_types", ["DownBlock2D", "SkipDownBlock2D", "DownBlock2D"]),
        ("up_block_types", ["UpBlock2D"]),
        ("mid_block_type", "UNetMidBlock2DCrossAttn"),
        ("downsample_type", "resnet"),
        ("upsample_type", "resnet"),
        ("act_fn", "geglu"),
        ("resnet_time_scale_shift", "ada_group"),
        ("class_embed_type", "identity"),
        ("cross_attention_dim", 32),
        ("scheduler", {"thresholding": True}),
        ("scheduler", {"trained_betas": [0.1, 0.2]}),
        ("scheduler", {"rescale_betas_zero_snr": True}),
        ("scheduler", {"beta_schedule": "sigmoid"}),
        ("scheduler", {"prediction_type": "score"}),
        ("scheduler", {"timestep_spacing": "karras"}),
        ("sampling", {"eta": 1.0}),
    ],
)
def test_what_the_twin_does_not_do_is_refused_by_name(option: str, value: Any) -> None:
    named = next(iter(value)) if isinstance(value, dict) else option
    with pytest.raises(WeighbridgeError, match=named) as refusal:
        models.load("unet").build({**SMALL, option: value}, nnx.Rngs(0))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("options", "count"), [({}, 0), ({}, 1001), ({"steps_offset": 1}, 1000)])
def test_steps_that_the_schedule_lacks_are_refused(options: dict[str, Any], count: int) -> None:
    with pytest.raises(WeighbridgeError, match="num_train_timesteps"):
        schedule.steps(Scheduler(**options), count)


def test_an_image_that_levels_do_not_halve_is_refused() -> None:
    module = nnx.eval_shape(lambda: twin.build(SMALL, nnx.Rngs(0)))
    inputs = {"image": jax.numpy.zeros((1, 8, 10, 2)), "timestep": jax.numpy.zeros(1, int)}
    with pytest.raises(WeighbridgeError, match="multiples of 4"):
        twin.forward(module, inputs)
