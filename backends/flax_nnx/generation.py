"""One greedy generation a step: prefill, and decode in stretches whose cache is little longer than what fills it.

A token attends the whole room of its cache, filled or not. So decoding runs in stretches: each one's program has a
room of its own and takes as many steps as it is told, and between two the cache grows. The rooms are one ladder for
all requests: programs depend on the batch and on the prompt's shape, never on how many tokens are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from weighbridge.backends.flax_nnx.placement import Parts
from weighbridge.backends.flax_nnx.session import FlaxSession
from weighbridge.backends.flax_nnx.twin import Twin
from weighbridge.bench.core import Arrays, Cell

ROOM = 64
"""The lowest rung of the ladder of rooms; from 128 on there are two rungs an octave."""


def room_for(positions: int) -> int:
    """The lowest rung that holds so many positions: 64, 128, 192, 256, 384, 512, 768, 1024, ..."""
    step = max(ROOM, 1 << (positions - 1).bit_length() - 2) if positions > 1 else ROOM
    return -(-positions // step) * step


class Stretch(NamedTuple):
    """`steps` steps of decoding in a cache with room for `room` positions."""

    room: int
    steps: int


def stretches(prompt: int, new_tokens: int) -> list[Stretch]:
    """How a request is cut. The first room leaves half a rung behind the prompt, so that no stretch is for a few."""
    found: list[Stretch] = []
    room, filled, left = room_for(prompt + ROOM // 2), prompt, new_tokens - 1
    while left > 0 or not found:
        count = min(left, room - filled)
        found.append(Stretch(room, count))
        room, filled, left = room_for(room + 1), filled + count, left - count
    return found


class Request(NamedTuple):
    """A batch on the device: prompts, and for each stretch its steps and the tokens that are to be followed."""

    ids_BS: Any
    stretches: list[Stretch]
    counts: list[Any]
    first_B: Any = None
    follow: list[Any] | None = None


class GenerateSession(FlaxSession):
    """Keeps the programs that follow given tokens apart: they prove, and are never timed."""

    scope = "prefill and decode"

    def __init__(self, twin: Twin, parts: Parts, cell: Cell) -> None:
        super().__init__(twin, parts, cell)
        assert twin.generation is not None
        self.programs_of = twin.generation
        self.proving: dict[Any, Any] = {}

    def to_device(self, batch: Arrays) -> Request:
        """Places prompts, counts, and what is to be followed."""
        prompt_BS = batch["input_ids"]
        plan = stretches(prompt_BS.shape[1], int(batch["new_tokens"]))
        request = Request(self.placed(prompt_BS), plan, [self.placed(np.asarray(part.steps)) for part in plan])
        if "follow" not in batch:
            return request
        follow_BN = batch["follow"]
        parts = [self.placed(part) for part in _cut(follow_BN[:, 1:], plan)]
        return request._replace(first_B=self.placed(follow_BN[:, 0]), follow=parts)

    def step(self, x: Request) -> Any:
        """Dispatches prefill, and decode for what is left to produce."""
        leaves, room = self.parts.leaves, x.stretches[0].room
        found_B, logit_B, cache = self._prefill(x, room)(leaves, x.ids_BS, x.first_B)
        parts = [{"tokens": found_B[:, None], "logit": logit_B[:, None], "count": 1}]
        token_B = found_B if x.first_B is None else x.first_B
        for index, (longer, steps) in enumerate(x.stretches):
            if steps == 0:
                break
            if longer > room:
                cache, room = self._grow(cache, room, longer)(leaves, cache), longer
            given = (token_B, cache, x.counts[index], x.follow[index] if x.follow else None)
            tokens, logits, token_B, cache = self._decode(given, room)(leaves, *given)
            parts.append({"tokens": tokens, "logit": logits, "count": steps})
        return parts

    def to_host(self, y: Any) -> Arrays:
        """Joins what the programs gave."""

        def joined(name: str) -> np.ndarray:
            return np.concatenate([np.asarray(part[name])[:, : part["count"]] for part in y], 1)

        return {"tokens": joined("tokens").astype(np.int64), "logit": joined("logit").astype(np.float32, copy=False)}

    def facts(self) -> dict[str, Any]:
        """Adds the rooms that decoding had."""
        rooms = sorted({key[-1] for key in self.compiled if key[0] == "decode"})
        return {**super().facts(), "donation": True, "cache_rooms": rooms}

    def _prefill(self, x: Request, room: int) -> Callable[..., Any]:
        def prefill(module: Any, ids_BS: Any, wanted_B: Any) -> Any:
            return self.programs_of.prefill(module, ids_BS, room, wanted_B)

        return self.program(("prefill", x.ids_BS.shape, room), prefill, x.ids_BS, x.first_B, among=self._kept(x.follow))

    def _grow(self, cache: Any, room: int, longer: int) -> Callable[..., Any]:
        def grow(_: Any, cache: Any) -> Any:
            return self.programs_of.grow(cache, longer)

        return self.program(("grow", cache.layers[0].keys.shape[0], room, longer), grow, cache)

    def _decode(self, given: tuple[Any, ...], room: int) -> Callable[..., Any]:
        key = ("decode", given[0].shape[0], room)
        return self.program(key, self.programs_of.decode, *given, consumed=(1,), among=self._kept(given[3]))

    def _kept(self, follow: Any) -> dict[Any, Any]:
        return self.compiled if follow is None else self.proving

    def close(self) -> None:
        """Drops what proves, too."""
        self.proving.clear()
        super().close()


def _cut(follow_BT: np.ndarray, plan: list[Stretch]) -> list[np.ndarray]:
    """Each stretch's share, in an array as long as its room."""
    ends = np.cumsum([part.steps for part in plan])
    shares = [follow_BT[:, end - part.steps : end] for part, end in zip(plan, ends, strict=True)]
    return [np.pad(share, ((0, 0), (0, part.room - share.shape[1]))) for share, part in zip(shares, plan, strict=True)]
