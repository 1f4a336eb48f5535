"""Every architecture as a graph by `torch.export`: of any number of rows, and what the module says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.parity.case import Case
from tests.parity.cases import CASES
from weighbridge.backends.torch_nn import models, tracing
from weighbridge.backends.torch_nn.exporting import Piece, Shape
from weighbridge.bench.core import Arrays

FIRST: dict[str, Case] = {}
for case in CASES.values():
    FIRST.setdefault(case.model.architecture, case)


def sorted_tensors(batch: Arrays) -> list[torch.Tensor]:
    return [torch.from_numpy(batch[name]) for name in sorted(batch)]


@pytest.mark.parametrize("architecture", FIRST)
def test_a_graph_takes_any_number_of_rows(architecture: str) -> None:
    case = FIRST[architecture]
    module = models.build(case.model).requires_grad_(False)
    models.load_state(module, case.weights)
    passing = tracing.Passing(module, models.forward(case.model), sorted(case.inputs))
    program, names = tracing.exported(passing, Piece(case.inputs, Shape.of(case.inputs), lambda: passing))
    for rows in (1, 2, len(next(iter(case.inputs.values())))):
        batch = {name: array[:rows] for name, array in case.inputs.items()}
        with torch.no_grad():
            found, expected = program.module()(*sorted_tensors(batch)), passing(*sorted_tensors(batch))
        assert list(expected) == names
        for name in names:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)
