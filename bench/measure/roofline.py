"""How much of what the machine could do was done: achieved rates against a roofline. Pure.

A step does F operations and must move at least B bytes: its weights, inputs and outputs, once each. Under a peak of P
operations and M bytes a second it cannot do more than min(P, M F/B) operations a second (Williams et al. 2009). F and B
are counted once, on the reference, and hold for every backend that computes the same.
"""

from __future__ import annotations

import math

import msgspec

from weighbridge.bench.core.backend import Cost
from weighbridge.bench.core.cell import Precision
from weighbridge.bench.core.record import Peaks


class Roofline(msgspec.Struct, frozen=True, kw_only=True):
    """Of one cell. Operations count a multiplication with addition as two."""

    flops_per_s: float
    bytes_per_s: float
    """Of the bytes that must be moved; what is moved twice is not counted."""
    intensity: float
    """Operations a byte."""
    bound: str
    """`compute` or `memory`: which roof the cell stands under."""
    share: float
    """Of the roof above it."""
    token_bandwidth: float | None = None
    """Decoding: the bytes of one token over its time, as a share of the peak bandwidth."""


FEWEST_OPERATIONS = 1 / 3
"""No algorithm in use does with fewer of the operations that are counted: Winograd's F(2×2, 3×3) takes 1 / 2.25 of a
convolution's multiplications (Lavin & Gray 2016)."""
IN_NO_CACHE_BYTES = 2**28
"""From here on a copy of what must be moved stays in no processor's cache."""
FASTEST_MEMORY = 1.25
"""Times the peak of a copy, which was measured on a machine that others share, too."""


def beyond(cost: Cost, step_s: float, peaks: Peaks, precision: Precision) -> str:
    """Why a step is too fast to be true, in words; empty where it is not, or where that cannot be known."""
    found = roofline(cost, step_s, None, peaks, precision)
    if found is None:
        return ""
    compute = found.flops_per_s / peaks.flops_per_s[precision]
    memory = found.bytes_per_s / peaks.bytes_per_s if cost.bytes >= IN_NO_CACHE_BYTES else 0.0
    if compute > 1 / FEWEST_OPERATIONS:
        return f"faster than can be: {compute:.0%} of the operations a second that this machine reached at most"
    if memory > FASTEST_MEMORY:
        return f"faster than can be: {memory:.0%} of the bytes a second that this machine reached at most"
    return ""


def roofline(cost: Cost, step_s: float, token_s: float | None, peaks: Peaks, precision: Precision) -> Roofline | None:
    """Return achieved rates and their roofs; None where this precision has no measured peak, or nothing was counted.

    Nor where figures that came from outside give a roof of zero or of infinity.
    """
    peak = peaks.flops_per_s.get(precision)
    if not peak or step_s <= 0 or cost.flops <= 0 or cost.bytes <= 0:
        return None
    intensity = cost.flops / cost.bytes
    memory_roof = intensity * peaks.bytes_per_s
    roof = min(peak, memory_roof)
    if not (roof > 0 and math.isfinite(roof)):
        return None
    decoding = cost.token_bytes / token_s / peaks.bytes_per_s if cost.token_bytes and token_s else None
    return Roofline(
        flops_per_s=cost.flops / step_s,
        bytes_per_s=cost.bytes / step_s,
        intensity=intensity,
        bound="compute" if peak < memory_roof else "memory",
        share=cost.flops / step_s / roof,
        token_bandwidth=decoding,
    )
