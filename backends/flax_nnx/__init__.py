"""Flax NNX: the backend, and the twins it runs. Importing this imports no framework."""

from weighbridge.backends.flax_nnx.backend import Flax

__all__ = ["Flax"]
