"""Two towers: own tables and a shared one, with and without features, hidden layers, norms and unit length."""

from __future__ import annotations

import numpy as np

from tests.parity.case import Draw, case_of
from weighbridge.bench.core import Arrays


def histories(count: int, length: int, ids: int, features: int = 0) -> Draw:
    """Padded behind, from full ones to an empty one."""

    def draw(rng: np.random.Generator) -> Arrays:
        history = rng.integers(1, ids, (count, length)).astype(np.int32)
        lengths = rng.integers(0, length + 1, (count, 1))
        lengths[:2, 0] = 0, length
        item = rng.integers(1, ids, count).astype(np.int32)
        found = {"history": np.where(np.arange(length) < lengths, history, 0).astype(np.int32), "item": item}
        return found | ({"features": rng.normal(size=(count, features)).astype(np.float32)} if features else {})

    return draw


CASES = {
    "two-towers": case_of(
        "two_towers", histories(23, 9, 61), ids=61, width=18, query_hidden=[31, 20], item_hidden=[27],
        layer_norm=True, temperature=0.07,
    ),
    "two-towers-shared": case_of(
        "two_towers", histories(11, 13, 35), ids=35, width=24, shared_table=True, query_hidden=[17],
        activation="silu", temperature=0.2,
    ),
    "two-towers-rows-alone": case_of("two_towers", histories(17, 5, 43), ids=43, width=10, temperature=0.5),
    "two-towers-features": case_of(
        "two_towers", histories(13, 7, 29, features=3), ids=29, width=12, features=3, query_hidden=[19],
        item_hidden=[8, 15], activation="relu", unit_length=False,
    ),
}  # fmt: skip
