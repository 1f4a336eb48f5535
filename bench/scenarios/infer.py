"""`infer`: a forward pass over a batch; throughput counts examples. `-S length=32,128` asks for other row lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from msgspec import Meta

from weighbridge.bench.core.arrays import Arrays, Files
from weighbridge.bench.core.card import TaskCard
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.settings import Pairs, Settings, Value, of, pairs, parse
from weighbridge.bench.core.task import Task
from weighbridge.bench.scenarios.steps.answer import StepsAnswers
from weighbridge.bench.scenarios.steps.requests import Score, Scored, StepsRequest
from weighbridge.bench.scenarios.steps.scenario import Scenario

MOST = 2**20


class InferSettings(Settings, frozen=True, kw_only=True):
    """Of the rows that are weighed."""

    length: Annotated[int, Meta(ge=0, le=MOST)] = 0
    """Positions of each row, by real rows of at least that many, cut; 0: the task's own rows."""


class Answers(StepsAnswers):
    """The worker's end. A score belongs to the eval split's own length, which another cell has."""

    def answer(self, request: StepsRequest) -> object:
        """No score of rows that were cut: it would compile for a shape that is not weighed."""
        if isinstance(request, Score) and length_of(self.cell):
            return Scored(score={}, measured="")
        return super().answer(request)


class Infer(Scenario):
    """Timed steps as they stand, and the task's score."""

    name = "infer"
    Settings = InferSettings
    answers = Answers

    def variants(self, task: TaskCard, given: Mapping[str, Value]) -> list[Pairs]:
        """A cell a length; several are separated by commas."""
        lengths = [word.strip() for word in str(given.get("length", "")).split(",") if word.strip()]
        if lengths and not task.varies:
            raise WeighbridgeError(f"rows of {task.name} have one shape: leave out the lengths, or name other --tasks")
        rest = {key: value for key, value in given.items() if key != "length"}
        each = [{**rest, "length": length} for length in dict.fromkeys(lengths)] or [rest]
        return [pairs(parse(InferSettings, one, "-S")) for one in each]

    def examples(self, task: Task, files: Files, cell: Cell) -> Mapping[str, np.ndarray]:
        """The eval split; of a length that was asked for, every example that is as long, cut to it."""
        length = length_of(cell)
        if not length or task.varying is None:
            return super().examples(task, files, cell)
        return cut(task.varying(files, cell.preset), length, task.name)


def length_of(cell: Cell) -> int:
    """Positions of each row that were asked for; 0 where none were."""
    return of(InferSettings, cell.settings).length


def cut(rows: list[Arrays], length: int, name: str) -> Arrays:
    """The rows (position, ...) that have `length` positions or more as one array (row, `length`, ...) a name.

    Raises WeighbridgeError where there is none: rows that are filled up would weigh padding.
    """
    enough = [row for row in rows if len(next(iter(row.values()))) >= length]
    if not enough:
        longest = max(len(next(iter(row.values()))) for row in rows)
        raise WeighbridgeError(f"no row of {name} has {length} positions; the longest has {longest}")
    return {each: np.stack([row[each][:length] for row in enough]) for each in enough[0]}
