"""The twins, one file an architecture. The folder is the list: a new file is a new architecture.

Each file holds `build(config, rngs) -> nnx.Module` and `forward(module, inputs) -> outputs`, and may hold what else
`backends.flax_nnx.twin.Twin` names. Other distributions plug in theirs as `weighbridge.twins`, under the name of the
architecture.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from weighbridge.backends.flax_nnx.twin import Twin
from weighbridge.bench.core import Shelf, WeighbridgeError

Settings = TypeVar("Settings")


_SHELF = Shelf("Flax twin of architecture", __name__, __path__, "weighbridge.twins")
load = _SHELF.load
"""Imports the twin's file."""
names = _SHELF.names
"""Of all twins."""


def twin(architecture: str) -> Twin:
    """The twin of an architecture; raises WeighbridgeError where there is none."""
    return Twin.of(load(architecture))


def named(table: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with its `name` replaced by what the table knows of it; the rest overrides that."""
    name, rest = config["name"], {key: value for key, value in config.items() if key != "name"}
    _must_be_among(list(table), name, "the twin has no model named")
    return {**table[name], **rest}


def settings(kind: type[Settings], config: Mapping[str, Any], idle: frozenset[str] = frozenset()) -> Settings:
    """`config` as the dataclass `kind`. Names in `idle` do not shape a forward pass; any other is refused."""
    given = {name: value for name, value in config.items() if name not in idle}
    known: dict[str, Any] = vars(kind)["__dataclass_fields__"]
    if unknown := sorted(given.keys() - known.keys()):
        raise WeighbridgeError(f"the twin's {kind.__name__} has no {', '.join(unknown)}; it has {', '.join(known)}")
    return kind(**given)


def _must_be_among(known: list[str], name: str, complaint: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise WeighbridgeError(f"{complaint} {name!r}: {hint}")
