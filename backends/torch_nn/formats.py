"""What PyTorch's modules are exported to: a graph by `torch.export`, or weights beside their architecture's name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from weighbridge.bench.core import Arrays, Cell, ModelSpec, Session, Written

GRAPH, WEIGHTS = "torch-export", "safetensors"
PROGRAM_FILE, WEIGHTS_FILE = "model.pt2", "model.safetensors"
LOADING_PROGRAM = f"""import torch
program = torch.export.load("{PROGRAM_FILE}").module()
outputs = program(*(torch.from_numpy(inputs[name]) for name in sorted(inputs)))"""
OWN_FILES = "This file holds no pickle, but torch.export.load would unpickle one: load no stranger's file with it."
LOADING_WEIGHTS = f"""import json, torch
from safetensors.numpy import load_file
from weighbridge.backends.torch_nn import models
architecture = models.load(%s)
module = architecture.build(json.loads(%s)).eval().requires_grad_(False)
models.load_state(module, load_file("{WEIGHTS_FILE}"))
outputs = architecture.forward(module, {{name: torch.from_numpy(inputs[name]) for name in inputs}})"""
WEIGHTS_ALONE = "It holds float32 weights under PyTorch's names, in PyTorch's layouts, and no graph."


def of_weights(model: ModelSpec) -> Written:
    """What is said of a safetensors file that PyTorch opens, whoever wrote it."""
    config = json.dumps(model.config, sort_keys=True)
    return Written(loading=LOADING_WEIGHTS % (repr(model.architecture), repr(config)), note=WEIGHTS_ALONE)


def export(model: ModelSpec, weights: Path, cell: Cell, batch: Arrays, form: str, folder: Path) -> Written:
    """Writes one of the two."""
    from safetensors.numpy import save_file

    from weighbridge.backends.torch_nn import archives, models, tracing
    from weighbridge.backends.torch_nn.exported import narrow
    from weighbridge.backends.torch_nn.exporting import Piece, Shape
    from weighbridge.backends.torch_nn.loading import load

    if form == WEIGHTS:
        wide = msgspec.structs.replace(cell, precision="fp32")
        save_file(models.state(load(model, weights, wide)), folder / WEIGHTS_FILE)
        return of_weights(model)
    host = {name: narrow(batch[name]) for name in sorted(batch)}
    passing = tracing.Passing(load(model, weights, cell), models.forward(model), sorted(host))
    program, _ = tracing.exported(passing, Piece(host, Shape.of(host), lambda: passing))
    archives.save(program, folder / PROGRAM_FILE)
    return Written(loading=LOADING_PROGRAM, note=OWN_FILES)


def reopened_program(folder: Path, cell: Cell) -> Session:
    """A session of a graph, which knows its weights and no architecture."""
    from weighbridge.backends.torch_nn import archives
    from weighbridge.backends.torch_nn.loading import set_precision
    from weighbridge.backends.torch_nn.session import TorchSession

    set_precision(cell.precision)
    program = archives.load(folder / PROGRAM_FILE).module(check_guards=False)  # guards are code in the file
    return TorchSession(program, cell, _called)


def _called(program: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return program(*(inputs[name] for name in sorted(inputs)))
