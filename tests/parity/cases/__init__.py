"""What twins are tried on, one file an architecture. The folder is the list: each file holds `CASES` by name.

A file may hold `WHERE`: the name of the case that has what a mutant spoils, where the architecture's first lacks it.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from tests.parity.case import Case

CASES: dict[str, Case] = {}
_WHERE: dict[tuple[str, str], str] = {}
for found in sorted(iter_modules(__path__), key=lambda module: module.name):
    file = import_module(f"{__name__}.{found.name}")
    CASES |= file.CASES
    _WHERE |= {(CASES[name].model.architecture, mutant): name for mutant, name in vars(file).get("WHERE", {}).items()}


def case_for(architecture: str, mutant: str) -> Case:
    """The case on which a mutant must be caught."""
    first = next(name for name, case in CASES.items() if case.model.architecture == architecture)
    return CASES[_WHERE.get((architecture, mutant), first)]
