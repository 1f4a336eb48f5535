"""Batches: of the fixed rows that all backends of a group are fed, and of a whole split. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from weighbridge.bench.core.arrays import Arrays

BATCHES = 3
"""Steps take turns through as many batches of one shape: who remembers an answer must not be timed remembering it."""


def turned(arrays: Arrays, size: int) -> list[Arrays]:
    """Batches of `size` rows, each of which begins a row later; of inputs, or of outputs on them."""
    count = max(len(array) for array in arrays.values() if array.ndim)
    starts = [np.arange(start, start + size) % count for start in range(BATCHES)]
    return [{name: array[chosen] if array.ndim else array for name, array in arrays.items()} for chosen in starts]


def joined(batches: Sequence[Arrays]) -> Arrays:
    """Outputs of several batches as one; those that some batch lacks, or has in another shape, are left out."""
    names = [name for name in batches[0] if len({each[name].shape for each in batches if name in each}) == 1]
    return {name: np.concatenate([each[name] for each in batches]) for name in names if all(name in b for b in batches)}


def padded_batches(inputs: Arrays, targets: Arrays, size: int) -> Iterator[tuple[Arrays, Arrays]]:
    """Batches of exactly `size` rows in order; the last is padded with its first row, its targets are not."""
    count = len(next(iter(inputs.values())))
    for start in range(0, count, size):
        chosen = np.minimum(np.arange(start, start + size), count - 1)
        yield (
            {name: array[chosen] for name, array in inputs.items()},
            {name: array[start : start + size] for name, array in targets.items()},
        )
