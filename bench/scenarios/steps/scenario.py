"""A scenario: what is asked of a cell, from the rows that it is fed to the record."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from weighbridge.bench.core.arrays import Arrays, Files
from weighbridge.bench.core.card import TaskCard
from weighbridge.bench.core.cell import Cell, Way
from weighbridge.bench.core.effort import Effort
from weighbridge.bench.core.record import Record
from weighbridge.bench.core.settings import Pairs, Settings, Value, pairs, parse
from weighbridge.bench.core.task import Task
from weighbridge.bench.scenarios.base import Phase
from weighbridge.bench.scenarios.steps.answer import Host, StepsAnswers
from weighbridge.bench.scenarios.steps.measure import Weighing
from weighbridge.bench.scenarios.steps.requests import StepsRequest


class Scenario(ABC):
    """One concrete subclass a file of `bench/scenarios/`, which is found by its `name`.

    In the parent, a cell goes through as many processes as `processes` says; in each a `weighing` asks for what the
    scenario wants to know. In the worker, `answers` holds the open session and answers. Both build on those of timed
    steps, and override what differs.
    """

    name: ClassVar[str]
    way: ClassVar[Way] = "infer"
    """How a backend opens the model for it: a forward pass, or a whole generation."""
    in_turns: ClassVar[bool] = True
    """Whether cells of a group are timed in turns."""
    Settings: ClassVar[type[Settings]] = Settings
    """What `-S key=value` can change, with defaults. They are part of the cell."""
    requests: ClassVar[Any] = StepsRequest
    """The union of what its worker is asked."""
    weighing: ClassVar[type[Weighing]] = Weighing
    answers: ClassVar[type[StepsAnswers]] = StepsAnswers

    @property
    def is_plain(self) -> bool:
        """Whether it is a way of its own: a product of a suite that names it stands for all that drive this way."""
        return self.name == self.way

    def variants(self, task: TaskCard, given: Mapping[str, Value]) -> list[Pairs]:
        """Return the settings of the cells that a request stands for, of its values or their texts: here of one.

        Raises WeighbridgeError where a value is none that a setting can have.
        """
        return [pairs(parse(self.Settings, given, "-S"))]

    def ready(self, cells: Sequence[Cell], found: Mapping[Cell, Record]) -> list[Cell]:
        """Return which of a plan's cells can be weighed, by the records so far; here all of them, at once."""
        return list(cells)

    def fits(self, task: TaskCard) -> bool:
        """Whether a task can be driven so."""
        return self.way in task.scenarios

    def processes(self, effort: Effort) -> int:
        """Return how many a cell goes through."""
        return effort.processes

    def begin(self, cell: Cell, effort: Effort, phase: Phase) -> Weighing:
        """The parent's end of a cell."""
        return self.weighing(cell, effort, phase)

    def answering(self, host: Host) -> StepsAnswers:
        """The worker's end of an open cell."""
        return self.answers(host)

    def examples(self, task: Task, files: Files, cell: Cell) -> Mapping[str, np.ndarray]:
        """Return what the fixed rows of a group are drawn from."""
        return task.data(files, "eval", cell.preset).inputs

    def followed(self, batch: Arrays, oracle: Arrays) -> Arrays:
        """Return what the reference is fed at the cell's precision, once the oracle has answered `batch`."""
        return batch
