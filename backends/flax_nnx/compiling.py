"""What XLA is told beside a program.

On a CPU XLA hands products, reductions and convolutions to YNNPACK. Convolutions of few channels are slower there than
by Eigen, and none of those that were tried is faster (jaxlib 0.10.2, AMD Zen 4, float32: docs/lab-notes.md), so
that they alone are taken back. An option of a compiler is no part of its interface: one that this jaxlib does not know
is left out, and what was said is read back as the fact `compiler_options`.
"""

from __future__ import annotations

import os
from functools import cache

import jax

YNNPACK = "xla_cpu_experimental_ynn_fusion_type"
WITHOUT_CONVOLUTIONS = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
"""XLA's own default but for LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION."""


@cache
def options(platform: str) -> dict[str, str | bool]:
    """Options by name for programs of a platform; a user who set them by `XLA_FLAGS` is left alone."""
    wanted = {YNNPACK: WITHOUT_CONVOLUTIONS} if platform == "cpu" else {}
    return {name: value for name, value in wanted.items() if name not in _flags() and _known(name, value)}


def _flags() -> str:
    return os.environ.get("XLA_FLAGS", "")


def _known(name: str, value: str) -> bool:
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options={name: value})
    except jax.errors.JaxRuntimeError:
        return False
    return True
