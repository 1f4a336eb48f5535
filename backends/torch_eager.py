"""PyTorch as it comes: eager, inference mode, SDPA, channels_last. The reference that all others are proven against.

Precision is set, never assumed: torch keeps float32 for matrix products but lets cuDNN convolutions use TF32
(measuring rule 11), so `fp32` turns that off and `tf32` turns both on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.core import (
    Arrays,
    Cell,
    Cost,
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
    Work,  # fmt: skip
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
DISTRIBUTIONS = ("torch", "torchvision", "triton", "timm", "transformers")
REQUIRES = ("torch", "timm", "transformers")
CAMP = "torch"
SCOPES = {"infer": "model forward", "generate": "prefill and decode", "sample": "all steps of sampling"}
"""What one timed step holds; every backend's says the same or gets no ratio."""


def torch_dtype(precision: str) -> Any:
    """The dtype that weights and activations are held in."""
    import torch

    return {"fp64": torch.float64, "bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)


def imports(model: ModelSpec) -> tuple[str, ...]:
    """PyTorch, and the library of this model alone."""
    from backends.torch_nn import models as torch_models

    return ("torch", torch_models.library(model))


def set_precision(precision: Precision) -> None:
    """Makes this process compute at this precision, and says so to every library underneath."""
    import torch

    allow_tf32 = precision == "tf32"
    torch.set_float32_matmul_precision("high" if allow_tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = allow_tf32


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
        from backends.torch_nn import models as torch_models

        return TorchSession(load(model, weights, cell), cell, torch_models.stepping(model, cell.scenario))

    def weights(self, model: ModelSpec, files: Files, training: Training | None) -> Arrays:
        """Trained by the recipe, unpacked from a data package, or drawn from a seed."""
        from backends.torch_nn import checkpoints
        from backends.torch_nn.training import seeded, train

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
            _wait(device)

        return Work(run=run, amount=2.0 * size**3)

    def large_copy(self, device: Device) -> Work:
        """One GiB, half of it read and half written."""
        import torch

        source = torch.zeros(2**27, device=device)
        target = torch.empty_like(source)

        def run() -> None:
            target.copy_(source)
            _wait(device)

        return Work(run=run, amount=2.0 * source.nbytes)


def _wait(device: Device) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def load(model: ModelSpec, weights: Path, cell: Cell) -> Any:
    """A module in eval mode that holds `weights`, at the cell's precision and on its device.

    There cuDNN tries its convolutions and keeps the fastest, as XLA does; the oracle is made on the CPU.
    """
    import torch
    from safetensors.numpy import load_file

    from backends.torch_nn import models as torch_models
    from backends.torch_nn import tf32

    set_precision(cell.precision)
    torch.backends.cudnn.benchmark = cell.device == "cuda"
    module = torch_models.build(model)
    torch_models.load_state(module, load_file(weights))
    if cell.precision == "tf32" and cell.device == "cpu":
        tf32.round_products(module)
    module = module.eval().requires_grad_(False).to(cell.device, torch_dtype(cell.precision))
    return module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


COUNTER = "torch FlopCounter"


def held(tensors: dict[str, Any]) -> int:
    """Bytes of a batch or of outputs."""
    import torch

    return sum(tensor.nbytes for tensor in tensors.values() if isinstance(tensor, torch.Tensor))


class Outputs(dict[str, Any]):
    """Names -> tensors of a step on a device, and the event that follows its last kernel."""

    done: Any = None


class Following:
    """A processor of logits, as transformers calls it at every step, under which only the given token can be taken."""

    def __init__(self, tokens_BN: Any, prompt: int) -> None:
        self.tokens_BN, self.prompt = tokens_BN, prompt

    def __call__(self, input_ids: Any, scores_BV: Any) -> Any:
        """Every other score is lost, in a tensor of its own."""
        token_B1 = self.tokens_BN[:, input_ids.shape[1] - self.prompt, None]
        return scores_BV.new_full(scores_BV.shape, -float("inf")).scatter(1, token_B1, 0.0)


class TorchSession(Session):
    """A loaded module and the function that a step calls; without one it decodes greedily with a KV cache."""

    def __init__(self, module: Any, cell: Cell, function: Callable[..., dict[str, Any]] | None) -> None:
        import torch

        self.torch, self.module, self.cell, self.function = torch, module, cell, function
        self.dtype = torch_dtype(cell.precision)
        self.sample: Any = None
        self.run = self.generate if function is None else self.infer
        if function is None:
            module.generation_config.eos_token_id = None  # every backend produces as many tokens as it was asked for

    def to_device(self, batch: Arrays) -> Any:
        """Floats go to the cell's precision; images are NHWC already, which is channels_last after a permute."""
        x = {name: self._tensor(array) if np.ndim(array) else int(array) for name, array in batch.items()}
        self.sample = self.sample or x
        return x

    def _tensor(self, array: np.ndarray) -> Any:
        tensor = self.torch.from_numpy(np.ascontiguousarray(array))
        return tensor.to(self.cell.device, self.dtype if tensor.is_floating_point() else None)

    def step(self, x: dict[str, Any]) -> Any:
        """One forward pass or one generation. On a device an event is recorded behind it, for `sync` to wait for."""
        with self.torch.inference_mode():
            y = self.run(x)
        return self._marked(y) if self.cell.device == "cuda" else y

    def _marked(self, y: dict[str, Any]) -> Outputs:
        outputs = Outputs(y)
        outputs.done = self.torch.cuda.Event()
        outputs.done.record()
        return outputs

    def infer(self, x: dict[str, Any]) -> Any:
        """Names -> tensors."""
        assert self.function is not None
        return self.function(self.module, x)

    def generate(self, x: dict[str, Any]) -> Any:
        """transformers' own greedy search, which is what people run. Logits are kept for parity.

        They are kept as the model gave them: what is followed changes only which token is taken.
        """
        followed = {"logits_processor": [Following(x["follow"], x["input_ids"].shape[1])]} if "follow" in x else {}
        y = self.module.generate(
            x["input_ids"],
            attention_mask=self.torch.ones_like(x["input_ids"]),
            max_new_tokens=x["new_tokens"],
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
            **followed,
            **self.generate_options(x),
        )
        taken_BN = y.sequences[:, x["input_ids"].shape[1] :]
        logits_BNV = self.torch.stack(y.logits, 1)
        tokens_BN = logits_BNV.argmax(2) if followed else taken_BN
        return {"tokens": tokens_BN, "logit": logits_BNV.gather(2, taken_BN[:, :, None])[:, :, 0]}

    def generate_options(self, x: dict[str, Any]) -> dict[str, Any]:
        """What is said to `generate` beside that; transformers' cache grows by default."""
        return {}

    def sync(self, y: Any) -> None:
        """CPU work is done when it returns; a device is waited for up to this step, not to what is queued behind it."""
        if isinstance(y, Outputs):
            y.done.synchronize()

    def to_host(self, y: dict[str, Any]) -> Arrays:
        """Half types are widened to float32."""
        return {name: self._host(tensor) for name, tensor in y.items()}

    def _host(self, tensor: Any) -> np.ndarray:
        narrow = tensor.is_floating_point() and tensor.dtype.itemsize < 4
        return (tensor.float() if narrow else tensor).cpu().numpy()

    def reset_peak_memory(self) -> bool:
        """Gives back what the cache holds and nothing uses, so that the reserved peak starts anew, too."""
        if self.cell.device != "cuda":
            return False
        self.torch.cuda.synchronize()
        self.torch.cuda.empty_cache()
        self.torch.cuda.reset_peak_memory_stats()
        return True

    def device_peak_bytes(self) -> int | None:
        """Peak of allocated device memory."""
        return self.torch.cuda.max_memory_allocated() or None if self.cell.device == "cuda" else None

    def device_reserved_bytes(self) -> int | None:
        """Peak of what the caching allocator held."""
        return self.torch.cuda.max_memory_reserved() or None if self.cell.device == "cuda" else None

    def cost(self, x: dict[str, Any]) -> Cost | None:
        """Counted by torch's FlopCounter; of bytes, weights, inputs and outputs."""
        weights = sum(tensor.nbytes for tensor in self.module.parameters())
        if self.function is not None:
            flops, y = self._counted(x)
            return Cost(flops=flops, bytes=weights + held(x) + held(y), by=COUNTER)
        from backends.torch_nn.counting import quadratic

        tokens = x["new_tokens"]
        counted = [self._counted({**x, "new_tokens": count}) for count in (1, 2, 3)]
        flops = quadratic([flops for flops, _ in counted], tokens)
        outputs = quadratic([held(y) for _, y in counted], tokens)
        cache = self._cache_bytes(x["input_ids"].shape[1] + tokens / 2)
        token_flops = (flops - counted[0][0]) / max(1, tokens - 1)
        return Cost(
            flops=flops, bytes=tokens * weights + (tokens - 1) * cache + held(x) + outputs, token_flops=token_flops,
            token_bytes=weights + cache, by=COUNTER,
        )  # fmt: skip

    def _counted(self, x: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode

        counter = FlopCounterMode(display=False)
        with counter, sdpa_kernel(SDPBackend.MATH):  # the fused kernel of the CPU is not in the counter's register
            y = self.step(x)
        return float(counter.get_total_flops()), y

    def _cache_bytes(self, length: float) -> float:
        """Keys and values of a cache of this length, which decoding one token reads."""
        config = self.module.config
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        per_position = 2 * config.num_hidden_layers * config.num_key_value_heads * head * self.dtype.itemsize
        return self.cell.batch_size * length * per_position

    def attention(self) -> list[str]:
        """Which of torch's attention kernels a step dispatches to, as torch itself says; takes a step."""
        from torch.utils._python_dispatch import TorchDispatchMode

        seen: set[str] = set()

        class Listener(TorchDispatchMode):
            def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                seen.update(name for name in (func.__name__.partition(".")[0],) if "attention" in name)
                return func(*args, **(kwargs or {}))

        if self.sample is not None:
            x = {name: 1 if name == "new_tokens" else held for name, held in self.sample.items()}
            with self.torch.no_grad(), Listener():  # in inference mode a listener hears only the function of all
                self.run(x)
            _wait(self.cell.device)
        return sorted(name.removeprefix("_scaled_dot_product_") for name in seen)

    def facts(self) -> dict[str, Any]:
        """Effective footing, read back from torch."""
        half = self.torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
        on_device = self.cell.device == "cuda"
        return {
            "attention": self.attention(),
            "reduced_precision_reduction": half if on_device else None,
            "threads": self.torch.get_num_threads(),
            "precision": str(self.dtype).removeprefix("torch."),
            "matmul_precision": self.torch.get_float32_matmul_precision(),
            "cudnn_tf32": self.torch.backends.cudnn.allow_tf32,
            "cudnn_benchmark": self.torch.backends.cudnn.benchmark if on_device else None,
            "layout": layout(self.module),
            "prepacked": [],
            "scope": SCOPES["sample" if self.function and self.cell.scenario == "generate" else self.cell.scenario],
            "compile_scope": "none",
            "graph_breaks": 0,
            "donation": False,
            "cuda_graphs": False,
            "allocator": self.torch.cuda.get_allocator_backend() if on_device else "system",
            "cpu_capability": self.torch.backends.cpu.get_cpu_capability(),
            **libraries(self.torch.__config__.show()),
        }


def layout(module: Any) -> str:
    """How the weights lie whose layout has a choice: those of convolutions."""
    import torch

    weights = [weight for weight in module.parameters() if weight.ndim == 4]
    if not weights:
        return "no 4-d weights"
    if all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights):
        return "channels_last"
    return "contiguous" if all(weight.is_contiguous() for weight in weights) else "mixed"


def libraries(built_with: str) -> dict[str, str]:
    """BLAS and oneDNN with their versions, out of what `torch.__config__.show()` says; else BLAS by its bare name."""
    lines = [line.strip(" -") for line in built_with.splitlines()]
    blas = next((line.partition(" for ")[0] for line in lines if "Math Kernel Library" in line), None)
    bare = re.search(r"BLAS_INFO=(\w+)", built_with)
    return {
        "blas": blas or (bare[1] if bare else "unknown"),
        "onednn": next((line.partition(" (")[0] for line in lines if "MKL-DNN v" in line), "none"),
    }
