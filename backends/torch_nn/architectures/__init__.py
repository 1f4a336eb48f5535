"""The reference modules, one file an architecture. The folder is the list: a new file is a new architecture.

Each file holds `LIBRARY`, the module whose import is the library's own cost (timm alone takes seconds),
`build(config) -> nn.Module`, and `forward(module, inputs) -> outputs`, a plain function over a dict of tensors. One
that makes images also holds `sample(module, inputs) -> outputs`: whole samples, by as many calls of the module as that
takes. Texts are decoded by transformers' `generate`.
Other distributions plug in theirs as `weighbridge.architectures`.
"""

from __future__ import annotations

from weighbridge.bench.core import Shelf

load = Shelf("reference module of architecture", __name__, __path__, "weighbridge.architectures").load
"""Imports the architecture's file."""
