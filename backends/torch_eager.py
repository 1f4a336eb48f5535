"""PyTorch as it comes: eager, inference mode, SDPA, channels_last. The reference that all others are proven against."""

from __future__ import annotations

from pathlib import Path

from weighbridge.backends.torch_nn import formats
from weighbridge.backends.torch_nn.loading import load, set_precision, torch_dtype
from weighbridge.backends.torch_nn.session import TorchSession, wait
from weighbridge.bench.core import (
    Arrays,
    Cell,
    Device,
    Files,
    ModelSpec,
    Packaged,
    Precision,
    Reference,
    Seeded,
    Session,
    Trained,
    Training,
    Work,
    Written,  # fmt: skip
)

OOM_SIGNS = (
    "CUDA out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",  # what a full H200 said: docs/devices.md
    "can't allocate memory",
    "not enough memory",
    "std::bad_alloc",
)
IMPORT_FIXES = {
    "torchvision::nms": "torchvision was built for another torch, and takes timm and transformers with it; "
    "type: uv pip install --reinstall torch torchvision",
    "libcudart": "the CUDA libraries do not match; type: uv pip install --reinstall torch",
}
DISTRIBUTIONS = ("torch", "torchvision", "triton", "timm", "transformers", "diffusers")
REQUIRES = ("torch", "timm", "transformers")
CAMP = "torch"


def imports(model: ModelSpec) -> tuple[str, ...]:
    """PyTorch, and the library of this model alone."""
    from weighbridge.backends.torch_nn import models as torch_models

    return ("torch", torch_models.library(model))


class TorchEager(Reference):
    """Eager PyTorch."""

    name = "torch"
    extra = "torch"
    requires = REQUIRES
    distributions = DISTRIBUTIONS
    devices = ("cpu", "cuda")
    scenarios = ("infer", "generate")
    precisions = ("fp32", "tf32", "bf16", "fp16")
    camp = CAMP
    formats = (formats.GRAPH, formats.WEIGHTS)
    oom_signs = OOM_SIGNS
    import_fixes = IMPORT_FIXES

    def why_not(self, cell: Cell) -> str | None:
        """TF32 needs a CUDA device."""
        if cell.precision == "tf32" and cell.device == "cpu":
            return "tf32 is a mode of NVIDIA devices; on cpu choose fp32 or bf16"
        return super().why_not(cell)

    def env(self, cell: Cell, cache: Path) -> dict[str, str]:
        """No hub is asked, and a CPU cell sees no device."""
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if cell.device == "cpu" else {}
        return {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", **hidden}

    def imports(self, model: ModelSpec) -> tuple[str, ...]:
        """Not every library that some model needs."""
        return imports(model)

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Builds and loads the module, and moves it to the device."""
        from weighbridge.backends.torch_nn import models as torch_models

        return TorchSession(load(model, weights, cell), cell, torch_models.stepping(model, cell.scenario))

    def export(self, model: ModelSpec, weights: Path, cell: Cell, batch: Arrays, form: str, folder: Path) -> Written:
        """A graph, or weights."""
        return formats.export(model, weights, cell, batch, form, folder)

    def reopen(self, folder: Path, form: str, model: ModelSpec, cell: Cell) -> Session:
        """The graph as it is, or the architecture around the weights."""
        if form == formats.GRAPH:
            return formats.reopened_program(folder, cell)
        return self.open(model, folder / formats.WEIGHTS_FILE, cell)

    def weights(self, model: ModelSpec, files: Files, training: Training | None) -> Arrays:
        """Trained by the recipe, unpacked from a data package, or drawn from a seed."""
        from weighbridge.backends.torch_nn import checkpoints
        from weighbridge.backends.torch_nn.training import seeded, train

        match model.weights:
            case Packaged() as source:
                return checkpoints.weights(model, source, files[source.package])
            case Seeded(seed=seed):
                return seeded(model, seed)
            case Trained(start=start):
                if training is None:
                    raise ValueError("trained weights need a recipe")
                return train(model, training, checkpoints.weights(model, start, files[start.package]) if start else {})

    def large_product(self, precision: Precision, device: Device) -> Work:
        """Two square matrices: 8192 rows on a device, 2048 on a CPU."""
        import torch

        size = 2048 if device == "cpu" else 8192
        set_precision(precision)
        a, b = (torch.randn(size, size, device=device, dtype=torch_dtype(precision)) for _ in range(2))

        def run() -> None:
            torch.mm(a, b)
            wait(device)

        return Work(run=run, amount=2.0 * size**3)

    def large_copy(self, device: Device) -> Work:
        """One GiB, half of it read and half written."""
        import torch

        source = torch.zeros(2**27, device=device)
        target = torch.empty_like(source)

        def run() -> None:
            target.copy_(source)
            wait(device)

        return Work(run=run, amount=2.0 * source.nbytes)
