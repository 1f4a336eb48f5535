"""A competing load: neighbours that work and rest by turns."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np


def burn(seed: int) -> None:
    """A neighbour that works and rests by turns of 0.05 to 1.5 s, until who started it is gone."""
    parent = multiprocessing.parent_process()
    rng = random.Random(seed)
    x = np.random.default_rng(seed).normal(size=(256, 256))
    while parent is None or parent.is_alive():
        until = time.monotonic() + rng.uniform(0.05, 1.5)
        while time.monotonic() < until:
            x = np.tanh(x @ x.T / 256)
        time.sleep(rng.uniform(0.05, 1.5))


@contextmanager
def competing_load(processes: int) -> Generator[None]:
    """That many neighbours."""
    context = multiprocessing.get_context("spawn")
    neighbours = [context.Process(target=burn, args=(seed,), daemon=True) for seed in range(processes)]
    for neighbour in neighbours:
        neighbour.start()
    try:
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
