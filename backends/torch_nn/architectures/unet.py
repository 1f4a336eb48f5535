"""diffusers' UNet2DModel: what one step of diffusion predicts, and whole images by DDIM.

`config` is the model's own, and two keys beside it: `scheduler`, as DDIMScheduler takes it, and `sampling`, the number
of `steps` and the `guidance` of a model with classes. Both are plain attributes of the module: a module around it
would give every weight another name.

Shapes: B batch, H W image, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LIBRARY = "diffusers.models.unets.unet_2d"
STEPS = 50
"""diffusers' own number of steps, where `sampling` names none."""


def build(config: dict[str, Any]) -> nn.Module:
    """The model, its schedule set to the steps that it is sampled in, and its guidance."""
    from diffusers.models.unets.unet_2d import UNet2DModel
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.utils import logging

    logging.set_verbosity_error()  # each `to(dtype)` warns of modules to be kept in float32, and lists none
    own = {name: value for name, value in config.items() if name not in ("scheduler", "sampling")}
    sampling = config.get("sampling") or {}
    module: Any = UNet2DModel(**own)
    module.scheduler = DDIMScheduler(**config.get("scheduler") or {})
    module.scheduler.set_timesteps(sampling.get("steps", STEPS))
    module.guidance = sampling.get("guidance", 1.0)
    return module


def forward(module: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`image` (B, H, W, C), noisy, at `timestep` (B,) and, of a model with classes, `label` (B,), to `prediction`
    (B, H, W, C)."""
    image_BCHW = inputs["image"].permute(0, 3, 1, 2)
    label_B = None if module.class_embedding is None else inputs["label"]
    prediction_BCHW = module(image_BCHW, inputs["timestep"], label_B, return_dict=False)[0]
    return {"prediction": prediction_BCHW.permute(0, 2, 3, 1)}


def sample(module: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`noise` (B, H, W, C) and, of a model with classes, `label` (B,) to `image` (B, H, W, C).

    The image between two steps is float32 or wider: half types would round it as often as there are steps.
    """
    noise = inputs["noise"]
    wide = torch.promote_types(noise.dtype, torch.float32)
    image = noise.to(wide)
    for time in module.scheduler.timesteps:
        timestep_B = time.to(noise.device).expand(len(noise))
        given = {**inputs, "image": image.to(noise.dtype), "timestep": timestep_B}
        image = module.scheduler.step(_guided(module, given).to(wide), time, image).prev_sample
    return {"image": image.to(noise.dtype)}


def _guided(module: Any, inputs: dict[str, Tensor]) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022): away from what is predicted without a class, the last label."""
    if module.class_embedding is None or module.guidance == 1:
        return forward(module, inputs)["prediction"]
    label_B = inputs["label"]
    nothing_B = torch.full_like(label_B, module.config.num_class_embeds - 1)
    doubled = {name: torch.cat([inputs[name], inputs[name]]) for name in ("image", "timestep")}
    both = forward(module, {**doubled, "label": torch.cat([nothing_B, label_B])})["prediction"]
    without, told = both.to(torch.promote_types(both.dtype, torch.float32)).chunk(2)
    return without + module.guidance * (told - without)
