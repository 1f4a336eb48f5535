"""The reference modules, one file an architecture. The folder is the list: a new file is a new architecture.

Each file holds `LIBRARY`, the module whose import is the library's own cost (timm alone takes seconds),
`build(config) -> nn.Module`, and `forward(module, inputs) -> outputs`, a plain function over a dict of tensors.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from bench.core import WeighbridgeError


def names() -> list[str]:
    """Architectures that have a reference module."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__))


def load(architecture: str) -> ModuleType:
    """Imports the architecture's file."""
    if architecture not in names():
        raise WeighbridgeError(f"no reference module of architecture {architecture!r}: there are {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{architecture}")
