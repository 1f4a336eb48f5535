"""Caches of keys and values that outlive a call of `generate`: a compiled program meets the same addresses each time.

transformers makes a new one a call. A CUDA graph would be recorded anew, and frozen weights compiled anew, since both
go by addresses; and one that is first filled inside of a compiled prefill is not marked as standing still.
"""

from __future__ import annotations

from typing import Any

from weighbridge.backends.torch_nn.decoding import kept_heads


class StaticCaches:
    """Of one module: one cache for each number of rows, as large as the largest request so far."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.held: dict[int, Any] = {}

    def emptied(self, rows: int, room: int) -> Any:
        """A cache with room for so many positions, and nothing in it."""
        if rows not in self.held or self.held[rows].get_max_length() < room:
            self.held[rows] = self._made(rows, room)
        self.held[rows].reset()
        return self.held[rows]

    def _made(self, rows: int, room: int) -> Any:
        from transformers import StaticCache

        config, dtype, device = self.module.config, self.module.dtype, self.module.device
        cache = StaticCache(config, max_cache_len=room)
        cache.early_initialization(rows, *kept_heads(config), dtype, device)
        return cache
