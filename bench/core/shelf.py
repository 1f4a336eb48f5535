"""Modules by name: the files of a folder, then what other distributions plug in under an entry point."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from weighbridge.bench.core.errors import WeighbridgeError


class Shelf(NamedTuple):
    """A folder whose files are found by their names, and the entry points beside it."""

    what: str
    """For people, as in `no Flax twin of architecture`."""
    package: str
    path: Sequence[str]
    group: str
    """Of entry points; a file of the folder goes before one of the same name."""

    def load(self, name: str) -> ModuleType:
        """Imports the module called `name`; raises WeighbridgeError, which says where to put one that is not there."""
        found = self._own().get(name) or self._plugged().get(name)
        if not found:
            raise WeighbridgeError(f"no {self.what} {name!r}; {self._hint(name)}")
        return importlib.import_module(found)

    def names(self) -> list[str]:
        """Names of all."""
        return sorted({*self._own(), *self._plugged()})

    def _own(self) -> dict[str, str]:
        """What begins with an underscore is a part of others."""
        names = [found.name for found in pkgutil.iter_modules(self.path) if not found.name.startswith("_")]
        return {name: f"{self.package}.{name}" for name in names}

    def _plugged(self) -> dict[str, str]:
        return {entry.name: entry.value for entry in entry_points(group=self.group)}

    def _hint(self, name: str) -> str:
        if near := difflib.get_close_matches(name, self.names(), n=1, cutoff=0.8):
            return f"did you mean {near[0]}?"
        return (
            f"write {Path(self.path[0]) / name}.py or plug one in as {self.group}; there are {', '.join(self.names())}"
        )
