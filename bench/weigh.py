"""The conversation that weighs one cell: what is asked of a worker, in which order, and when it is enough.

It knows no process: `ask` sends a request and returns the answer's value, so that a test can hold the
conversation with a fake. The order is forced: parity and score come before timing, so that no figure is taken
of a wrong result, and the peaks are reset in between, so that the oracle's arrays are not booked on the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from bench import measure, stats
from bench.core import Cell
from bench.record import Parity, Record
from bench.worker import Block, Check, Close, First, Memory, Request, Score, Settle

Ask = Callable[[Request], dict[str, Any]]
Phase = Callable[[str], None]


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """How long to measure: the bound on the median's relative error, and caps in seconds."""

    name: str
    bound: float
    warm_cap_s: float
    steady_cap_s: float
    block_s: float = 0.5
    longest_block: int = 200
    queued_blocks: int = 3


QUICK = Tier(name="quick", bound=0.02, warm_cap_s=1.0, steady_cap_s=3.0)


class ParityError(Exception):
    """The backend computes something else."""

    def __init__(self, parity: Parity) -> None:
        self.parity = parity
        ratio = "not finite" if parity.ratio is None else f"{parity.ratio:.3g}"
        decisions = (
            "" if parity.decisions_equal in (None, 1.0) else f"; {parity.decisions_equal:.2%} of decisions equal"
        )
        super().__init__(
            f"error of {parity.output!r} is {ratio} times the reference's, limit {parity.limit:g}{decisions}"
        )


class Weighing:
    """What is learned so far of one cell; `fields` are those of `Record`, kept even where the rest fails."""

    def __init__(self, cell: Cell, tier: Tier, ask: Ask, phase: Phase) -> None:
        self.cell, self.tier, self.ask, self.phase = cell, tier, ask, phase
        self.fields: dict[str, Any] = {"tier": tier.name}
        self.repeats = 1

    def run(self, opened: dict[str, Any]) -> None:
        """Everything after `open`, whose answer is `opened`."""
        self.fields |= {"environment": opened["environment"], "items_per_step": opened["items"]}
        self.first()
        self.check()
        self.score()
        self.ask(Settle())
        self.warm(opened["clock_cost_s"])
        self.steady()
        self.first_tokens()
        self.queued()
        self.memory()
        self.ask(Close())

    def first(self) -> None:
        """The first step, with compilation."""
        self.phase("compiling")
        answer = self.ask(First())
        self.fields |= {"compile_s": answer["first_s"], "compile_host_peak_bytes": answer["peak"]}

    def check(self) -> None:
        """Parity; a failure ends the weighing here."""
        self.phase("checking")
        parity = msgspec.convert(self.ask(Check()), Parity)
        self.fields["parity"] = parity
        if not parity.passed:
            raise ParityError(parity)

    def score(self) -> None:
        """The task's figures; only what is inferred is scored, tokens are judged by parity."""
        if self.cell.scenario == "infer":
            self.phase("scoring")
            scores = self.ask(Score())
            self.fields["score"] = {name: _finite(value) for name, value in scores.items()}

    def warm(self, clock_cost_s: float) -> None:
        """Steps until they no longer get faster, or the cap. At least two steps came before, one of each check."""
        self.phase("warming up")
        warmup: list[float] = []
        while not stats.is_warm(warmup) and sum(warmup) * self.repeats < self.tier.warm_cap_s:
            warmup += self.ask(Block(steps=1 if len(warmup) < 2 else 3))["samples"]
            self.repeats = measure.repeats_for(min(warmup), clock_cost_s)
        self.fields |= {"warmup_s": warmup}

    def steady(self) -> None:
        """Blocks of synchronised steps until the median has settled, or the cap."""
        self.phase("timing")
        samples: list[float] = []
        bound, cap = self.tier.bound, self.tier.steady_cap_s
        while not stats.has_settled(samples, bound) and (sum(samples) * self.repeats < cap or len(samples) < 3):
            samples += self.ask(Block(steps=self._steps_a_block(), repeats=self.repeats))["samples"]
            self.fields |= {"step_s": samples, "settled": stats.has_settled(samples, bound)}

    def first_tokens(self) -> None:
        """Time to the first token, of generations that end there."""
        if self.cell.scenario == "generate":
            self.ask(Block(steps=1, mode="first_token"))
            self.fields["first_token_s"] = self.ask(Block(steps=5, mode="first_token"))["samples"]

    def queued(self) -> None:
        """Blocks of queued steps: throughput. A step that is longer than a block has nothing to gain from a queue."""
        steps = self._steps_a_block() * self.repeats
        if steps > 1:
            request = Block(steps=min(steps, 10_000), mode="queued")
            self.fields["queued_step_s"] = [self.ask(request)["samples"][0] for _ in range(self.tier.queued_blocks)]

    def memory(self) -> None:
        """Peaks and facts."""
        self.fields |= self.ask(Memory())

    def _steps_a_block(self) -> int:
        fastest = min(self.fields["warmup_s"]) * self.repeats
        return max(1, min(self.tier.longest_block, int(self.tier.block_s / max(fastest, 1e-9))))

    def record(self, **more: Any) -> Record:
        """The record of what was learned, with `more` fields."""
        return Record(cell=self.cell, **{**self.fields, **more})


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
