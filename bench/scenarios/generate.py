"""`generate`: whole generations. Of texts, from prompts: throughput counts tokens, and what is judged is parity.

Of anything else, such as images, throughput counts examples, and a task may score them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from weighbridge.bench.core.arrays import Arrays, Files
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.record import Controls
from weighbridge.bench.core.task import Task, whole_outputs
from weighbridge.bench.measure import parity
from weighbridge.bench.scenarios.steps.answer import Host, StepsAnswers
from weighbridge.bench.scenarios.steps.measure import Weighing
from weighbridge.bench.scenarios.steps.requests import Block
from weighbridge.bench.scenarios.steps.scenario import Scenario

FIRST_TOKEN = "first_token"
"""The mode of a block of generations that end at their first token."""
TOKEN = "token"
LENGTH = "new_tokens"
"""Of the batch of a text: how many tokens are produced."""


class Answers(StepsAnswers):
    """The worker's end."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        texts = [batch for batch in self.batches if LENGTH in batch]
        self.xs_first_token = [self.session.to_device({**batch, LENGTH: np.array(1)}) for batch in texts]

    def item(self) -> str:
        """Tokens of a text, else the task's word."""
        return TOKEN if self.xs_first_token else self.host.task.item

    def items(self) -> int:
        """Return how many a step makes."""
        return self.cell.batch_size * int(self.batches[0].get(LENGTH, 1))

    def decision(self) -> str:
        """Return none: tokens are compared as outputs."""
        return ""

    def score(self) -> dict[str, float]:
        """Score generations where the task says how."""
        generated = self.host.task.generated
        if generated is None:
            return {}
        examples = generated.examples(self.host.files, self.cell.preset)
        return self.scored(examples, whole_outputs, generated.score)

    def control(self) -> Controls | None:
        """None: the forward pass, which has a cell of its own, says it in less time."""
        return None

    def comparable(self, outputs: Arrays, batch: Arrays, oracle: Arrays) -> Arrays:
        """Compare what was timed up to where the text parts from the oracle's, and then what follows its text."""
        if not self.xs_first_token or np.array_equal(outputs.get("tokens", ()), oracle["tokens"]):
            return outputs
        return parity.one_text(outputs, self.outputs(self.session.to_device(followed(batch, oracle))), oracle["tokens"])

    def timed_xs(self, mode: str) -> list[Any]:
        """Generations of one token have batches of their own."""
        return self.xs_first_token if mode == FIRST_TOKEN else self.xs


class Generation(Weighing):
    """The parent's end: of texts, times to the first token."""

    def finish(self) -> None:
        """First tokens go before what all steps are asked."""
        if self.item == TOKEN:
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
        return followed(batch, oracle) if LENGTH in batch else batch


def followed(batch: Arrays, oracle: Arrays) -> Arrays:
    """A batch on which a generation is fed the oracle's tokens: logits are compared of one text (measuring rule 32)."""
    return {**batch, "follow": oracle["tokens"]}
