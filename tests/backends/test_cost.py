"""Operations that the reference counts, against published figures; a multiplication with addition is two."""

from pathlib import Path

import numpy as np
import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests import nouns
from tests.conftest import make_cell
from tests.nouns import backend
from weighbridge.backends.torch_nn import models as torch_models
from weighbridge.bench.core import Cell, Cost, Session


def opened(task: str, preset: str, cell: Cell, folder: Path) -> Session:
    from safetensors.numpy import save_file

    spec = nouns.task(task).models[preset]
    module = torch_models.build(spec)
    weights = folder / "weights.safetensors"
    save_file({name: np.ascontiguousarray(array) for name, array in torch_models.state(module).items()}, weights)
    return backend(cell.backend).open(spec, weights, cell)


@pytest.mark.parametrize(
    ("preset", "gmacs", "millions"),
    [("base", 4.09, 23.53), ("base-vit", 17.56, 85.81)],
    ids=["ResNet-50", "ViT-B/16"],
)
def test_counts_are_within_two_percent_of_published_ones(
    preset: str, gmacs: float, millions: float, tmp_path: Path
) -> None:
    """torchvision's model table: 4.09 and 17.56 GFLOPS (multiplications with addition, one each), at 224 x 224.

    With ten classes the head is smaller: weights in millions are of timm's models with as many.
    """
    cell = make_cell("torch", task="image-classification", preset=preset, batch_size=2)
    session = opened("image-classification", preset, cell, tmp_path)
    x = session.to_device({"image": np.zeros((2, 224, 224, 3), np.float32)})
    found = session.cost(x)
    assert found
    assert found.flops / 2 / 2 / 1e9 == pytest.approx(gmacs, rel=0.02)
    assert found.bytes == pytest.approx(4e6 * millions, rel=0.03)


def decoding(folder: Path, new_tokens: int) -> Cost:
    cell = make_cell("torch", task="text-generation", scenario="generate", batch_size=1)
    session = opened("text-generation", "small", cell, folder)
    ids = np.ones((1, 16), np.int64)
    found = session.cost(session.to_device({"input_ids": ids, "new_tokens": np.int64(new_tokens)}))
    assert found
    return found


def test_a_decoded_token_takes_two_operations_a_weight(tmp_path: Path) -> None:
    """SmolLM2-135M: 134.5 million parameters, of which the tied embedding serves as the head; attention adds little."""
    found = decoding(tmp_path, 4)
    assert found.token_flops == pytest.approx(2 * 134.5e6, rel=0.02)
    assert found.token_bytes == pytest.approx(4 * 134.5e6, rel=0.02)
    assert found.bytes == pytest.approx(4 * 4 * 134.5e6, rel=0.05)


def test_a_long_generation_is_counted_from_three_short_ones(tmp_path: Path) -> None:
    """Exactly as counting all of it, operation by operation, would give it."""
    cell = make_cell("torch", task="text-generation", scenario="generate", batch_size=2)
    session = opened("text-generation", "small", cell, tmp_path)
    x = session.to_device({"input_ids": np.ones((2, 5), np.int64), "new_tokens": np.int64(7)})
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        session.step(x)
    found = session.cost(x)
    assert found
    assert found.flops == counter.get_total_flops()


def test_a_compiled_program_is_not_counted_by_a_counter_that_cannot_see_into_it(tmp_path: Path) -> None:
    cell = make_cell("torch-compile")
    session = opened("tabular-regression", "small", cell, tmp_path)
    assert session.cost({}) is None
