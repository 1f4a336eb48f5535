"""The worker's end of scoring."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.core.arrays import Arrays


def batches(inputs: Arrays, targets: Arrays, size: int) -> Iterator[tuple[Arrays, Arrays]]:
    """Batches of exactly `size` rows in order; the last is padded with its first row, its targets are not."""
    count = len(next(iter(inputs.values())))
    for start in range(0, count, size):
        chosen = np.minimum(np.arange(start, start + size), count - 1)
        yield (
            {name: array[chosen] for name, array in inputs.items()},
            {name: array[start : start + size] for name, array in targets.items()},
        )
