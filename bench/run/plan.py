"""Names and filters -> the list of cells to weigh. Pure: it is given the nouns, and asks the registry nothing.

A suite is a TOML file:

    about = "one line"
    reference = "torch"          # the backend that all others are proven against
    device = "cpu"
    [[cells]]                    # each table is a product of its lists
    tasks = ["..."]
    backends = ["..."]
    scenarios = ["infer"]
    precisions = ["fp32"]        # optional
    presets = ["small"]          # optional
    batch_sizes = [8]            # optional; the task's own where left out
    settings = { bound_s = 0.5 } # optional; of the scenarios that have them
    options = { mode = "..." }   # optional; of the backends that have them

Filters of the command line narrow a suite; a scenario that none of its products names goes where its way does. What
is asked for by name and stands in none of its products is added, so that `--tasks x --backends y` always means what it
says and nothing that was asked for vanishes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from typing import get_args

import msgspec

from weighbridge.bench.core.card import BackendCard, TaskCard
from weighbridge.bench.core.cell import Cell, Device, Precision
from weighbridge.bench.core.errors import WeighbridgeError, unknown
from weighbridge.bench.core.settings import Pairs, Value, names
from weighbridge.bench.scenarios import catalog


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for. Empty means "as the suite says"."""

    tasks: Sequence[str] = ()
    backends: Sequence[str] = ()
    scenarios: Sequence[str] = ()
    precisions: Sequence[str] = ()
    batch_sizes: Sequence[int] = ()
    presets: Sequence[str] = ()
    device: str = ""
    seed: int = 0
    settings: Mapping[str, Value] = {}
    """Of scenarios, as they were typed: each goes to those that have it."""
    options: Mapping[str, Value] = {}
    """Of backends, alike."""


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lists whose combinations are cells."""

    tasks: tuple[str, ...]
    backends: tuple[str, ...]
    scenarios: tuple[str, ...]
    precisions: tuple[str, ...] = ("fp32",)
    presets: tuple[str, ...] = ("small",)
    batch_sizes: tuple[int, ...] = ()
    settings: dict[str, Value] = {}
    options: dict[str, Value] = {}


class Suite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list of products."""

    about: str
    reference: str
    device: Device
    cells: list[Table]


Tasks = Callable[[str], TaskCard]
"""Looks a task up; raises WeighbridgeError, with a did-you-mean, where there is none."""
Backends = Callable[[str], BackendCard]
"""The same of backends."""
Options = Callable[[BackendCard, Mapping[str, Value]], Pairs]
"""Those of some options that a backend has, as a cell holds them; raises WeighbridgeError where a value is wrong."""


def plan(suite: Suite, filters: Filters, task: Tasks, backend: Backends, options: Options) -> list[Cell]:
    """The cells, the reference's first in each group, without doubles, in the suite's order."""
    _check_words(filters, task, backend)
    tables = _tables(suite, filters)
    _check_keys(tables, filters, backend)
    made = (_cells(suite, table, filters, task, lambda name, given: options(backend(name), given)) for table in tables)
    cells = list(dict.fromkeys(cell for each in made for cell in each))
    groups = {group: index for index, group in enumerate(dict.fromkeys(cell.group for cell in cells))}
    return sorted(cells, key=lambda cell: (groups[cell.group], not cell.is_reference(suite.reference)))


def _check_words(filters: Filters, task: Tasks, backend: Backends) -> None:
    for name in filters.tasks:
        known = task(name)
        for preset in filters.presets:
            if preset not in known.models:
                raise unknown(f"preset of {name}", preset, known.models)
    for name in filters.backends:
        backend(name)
    for kind, values, known in (
        ("scenario", filters.scenarios, catalog.scenarios()),
        ("precision", filters.precisions, [name for name in get_args(Precision) if name != "fp64"]),
        ("device", [filters.device] if filters.device else [], get_args(Device)),
    ):
        for value in values:
            if value not in known:
                raise unknown(kind, value, known)


def _check_keys(tables: Sequence[Table], filters: Filters, backend: Backends) -> None:
    """Raise WeighbridgeError where nothing of the plan has a setting or an option."""
    driven = {name for table in tables for name in table.scenarios}
    weighed = {name for table in tables for name in table.backends}
    settings = {key for name in driven for key in names(catalog.scenario(name).Settings)}
    options = {key for name in weighed for key in backend(name).options}
    for kind, given, known, of in (
        ("setting", filters.settings, settings, driven), ("option", filters.options, options, weighed),
    ):  # fmt: skip
        for key in given:
            if not known:
                raise WeighbridgeError(f"no {kind} {key!r}: {', '.join(sorted(of))} can be set nothing")
            if key not in known:
                raise unknown(kind, key, known)


def _tables(suite: Suite, filters: Filters) -> list[Table]:
    """The suite's products cut to the filters, and one more for what was asked for and is in none of them."""
    narrowed = [kept for table in suite.cells if (kept := _narrow(table, filters))]
    if filters.tasks and filters.backends:
        return [_widened(suite, filters)]
    held = {name for table in narrowed for names in (table.tasks, table.backends, table.scenarios) for name in names}
    asked = {*filters.tasks, *filters.backends, *filters.scenarios}
    return narrowed if narrowed and asked <= held else [*narrowed, _widened(suite, filters)]


def _narrow(table: Table, filters: Filters) -> Table | None:
    """`table` with its lists cut to the filters; None where nothing is left.

    Precisions, presets and batch sizes replace: a suite seldom lists those that a user wants to try.
    """
    kept = msgspec.structs.replace(
        table,
        tasks=tuple(name for name in table.tasks if not filters.tasks or name in filters.tasks),
        backends=tuple(name for name in table.backends if not filters.backends or name in filters.backends),
        scenarios=_driven(table, filters),
        precisions=tuple(filters.precisions) or table.precisions,
        presets=tuple(filters.presets) or table.presets,
        batch_sizes=tuple(filters.batch_sizes) or table.batch_sizes,
    )
    return kept if kept.tasks and kept.backends and kept.scenarios else None


def _driven(table: Table, filters: Filters) -> tuple[str, ...]:
    """The scenarios of a product that were asked for, and those that drive a way which one of its own drives."""
    ways = {catalog.scenario(name).way for name in table.scenarios if catalog.scenario(name).is_plain}
    wanted = filters.scenarios or table.scenarios
    return tuple(name for name in wanted if name in table.scenarios or _follows(name, ways))


def _follows(name: str, ways: Collection[str]) -> bool:
    found = catalog.scenario(name)
    return not found.is_plain and found.way in ways


def _widened(suite: Suite, filters: Filters) -> Table:
    """Every combination of what was asked for, with the suite's names where nothing was."""

    def asked_or_union(asked: Sequence[str], pick: Callable[[Table], tuple[str, ...]]) -> tuple[str, ...]:
        return tuple(asked) or tuple(dict.fromkeys(name for table in suite.cells for name in pick(table)))

    return Table(
        tasks=asked_or_union(filters.tasks, lambda table: table.tasks),
        backends=asked_or_union(filters.backends, lambda table: table.backends),
        scenarios=asked_or_union(filters.scenarios, lambda table: table.scenarios),
        precisions=asked_or_union(filters.precisions, lambda table: table.precisions),
        presets=asked_or_union(filters.presets, lambda table: table.presets),
        batch_sizes=tuple(filters.batch_sizes),
    )


def _cells(
    suite: Suite, table: Table, filters: Filters, task: Tasks, options: Callable[[str, Mapping[str, Value]], Pairs]
) -> list[Cell]:
    combinations: list[Mapping[str, object]] = []
    for name, preset, driven in product(table.tasks, table.presets, table.scenarios):
        known, scenario = task(name), catalog.scenario(driven)
        if not scenario.fits(known) or preset not in known.models:
            continue
        sizes = table.batch_sizes or [known.default_batch_size(preset, scenario.way)]
        given = {**table.settings, **filters.settings}
        own = {key: value for key, value in given.items() if key in names(scenario.Settings)}
        combinations += [
            {"task": name, "preset": preset, "scenario": driven, "batch_size": size, "precision": precision,
             "settings": settings}
            for precision, size, settings in product(table.precisions, sizes, scenario.variants(known, own))
        ]  # fmt: skip
    device, chosen = filters.device or suite.device, {**table.options, **filters.options}
    backends = {name: options(name, chosen) for name in table.backends}
    raw: Sequence[Mapping[str, object]] = [
        {**combination, "backend": name, "options": pairs, "device": device, "seed": filters.seed}
        for combination, (name, pairs) in product(combinations, backends.items())
    ]
    return msgspec.convert(raw, list[Cell])


def grouped(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Return group -> its cells, both in the order of the plan."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    return groups
