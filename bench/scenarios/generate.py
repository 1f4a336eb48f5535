"""`generate`: whole generations from prompts; throughput counts tokens. What is judged is parity, not a score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.core.arrays import Arrays, Files
from bench.core.cell import Cell
from bench.core.task import Task
from bench.measure import parity
from bench.scenarios.steps.answer import Host, StepsAnswers
from bench.scenarios.steps.measure import Weighing
from bench.scenarios.steps.requests import Block
from bench.scenarios.steps.scenario import Scenario

FIRST_TOKEN = "first_token"
"""The mode of a block of generations that end at their first token."""


class Answers(StepsAnswers):
    """The worker's end."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.xs_first_token = [self.session.to_device({**batch, "new_tokens": np.array(1)}) for batch in self.batches]

    def items(self) -> int:
        """Tokens."""
        return self.cell.batch_size * int(self.batches[0]["new_tokens"])

    def decision(self) -> str:
        """Return none: tokens are compared as outputs."""
        return ""

    def comparable(self, outputs: Arrays, batch: Arrays, oracle: Arrays) -> Arrays:
        """Compare what was timed up to where the text parts from the oracle's, and then what follows its text."""
        if np.array_equal(outputs.get("tokens", ()), oracle["tokens"]):
            return outputs
        return parity.one_text(outputs, self.outputs(self.session.to_device(followed(batch, oracle))), oracle["tokens"])

    def timed_xs(self, mode: str) -> list[Any]:
        """Generations of one token have batches of their own."""
        return self.xs_first_token if mode == FIRST_TOKEN else self.xs


class Generation(Weighing):
    """The parent's end: no score, but times to the first token."""

    item = "token"

    def take_score(self) -> None:
        """Take none."""

    def finish(self) -> None:
        """First tokens go before what all steps are asked."""
        self.phase("timing the first token")
        self.ask(Block(steps=1, mode=FIRST_TOKEN))
        self.now.first_token_s = self.ask(Block(steps=self.effort.first_tokens, mode=FIRST_TOKEN)).samples
        super().finish()


class Generate(Scenario):
    """Whole generations."""

    name = way = "generate"
    answers, weighing = Answers, Generation

    def examples(self, task: Task, files: Files, cell: Cell) -> Mapping[str, np.ndarray]:
        """Prompts; raises ValueError where the task has none."""
        if task.prompts is None:
            raise ValueError(f"task {task.name} has no prompts to generate from")
        return task.prompts(files, cell.preset)

    def followed(self, batch: Arrays, oracle: Arrays) -> Arrays:
        """The oracle's text."""
        return followed(batch, oracle)


def followed(batch: Arrays, oracle: Arrays) -> Arrays:
    """A batch on which a generation is fed the oracle's tokens: logits are compared of one text (measuring rule 32)."""
    return {**batch, "follow": oracle["tokens"]}
