"""What twins are tried on, one file an architecture. The folder is the list: each file holds `CASES` by name."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from tests.parity.case import Case

CASES: dict[str, Case] = {}
for found in sorted(iter_modules(__path__), key=lambda module: module.name):
    CASES |= import_module(f"{__name__}.{found.name}").CASES
