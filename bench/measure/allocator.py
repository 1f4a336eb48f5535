"""The host's allocator is footing: which one a worker is given, and which one it then had (measuring rule 28).

glibc hands freed activations back to the kernel and faults them in again at the next operation; how many depends on
how the heap happened to lie in that process. So all workers alike keep their pages, unless the user asks for what one
gets who changes nothing (`stock`), or for another allocator. What a worker had is read back in the worker.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import platform
from pathlib import Path
from typing import Literal, get_args

from weighbridge.bench.core.errors import WeighbridgeError, unknown

Allocator = Literal["keep", "stock", "huge", "jemalloc", "tcmalloc"]
KEPT = {
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}
"""glibc (mallopt(3)): nothing is given back, nothing is mapped by itself, and the heap grows by 256 MiB at a time."""
HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""glibc from 2.35: the heap asks for transparent huge pages."""
DECAY = (
    "oversize_threshold:1,background_thread:true,metadata_thp:auto,dirty_decay_ms:9000000000,muzzy_decay_ms:9000000000"
)
"""As PyTorch's performance tuning guide sets jemalloc."""
PRELOADED: dict[str, tuple[str, str, dict[str, str]]] = {
    "jemalloc": ("jemalloc", "libjemalloc2", {"MALLOC_CONF": DECAY}),
    "tcmalloc": ("tcmalloc_minimal", "libtcmalloc-minimal4", {}),
}
"""Name -> library, Debian's package, and its settings."""
ALWAYS_MAPPED_BYTES = 320 * 2**20
"""glibc's threshold grows by itself up to 32 MiB, and the heap may have 256 MiB in store: a block above both is mapped
unless it was told otherwise."""


def chosen(name: str) -> Allocator:
    """The allocator of this name; raises WeighbridgeError, with what to type, where it is unknown or not installed."""
    for known in get_args(Allocator):
        if name == known:
            if name in PRELOADED and library(name) is None:
                raise WeighbridgeError(f"no {name} on this machine; type: apt-get install {PRELOADED[name][1]}")
            return known
    raise unknown("allocator", name, get_args(Allocator))


def library(name: str) -> str | None:
    """The shared library of an allocator, where the system has it."""
    return ctypes.util.find_library(PRELOADED[name][0])


def variables(name: str) -> dict[str, str]:
    """The environment of a worker, before it starts; `stock` changes nothing."""
    if name in PRELOADED:
        return {"LD_PRELOAD": library(name) or "", **PRELOADED[name][2]}
    return {"keep": KEPT, "huge": {**KEPT, **HUGE}}.get(name, {})


def effective(maps: Path = Path("/proc/self/maps")) -> str:
    """Return what this process allocates with: the library that is loaded, or the libc and whether it keeps pages."""
    loaded = _text(maps)
    for name, (file, _, _) in PRELOADED.items():
        if f"lib{file}" in loaded:
            return f"{name}, {os.environ.get('MALLOC_CONF') or 'as it comes'}"
    if not (libc := glibc()):
        return f"{platform.libc_ver()[0] or 'another libc'}, as it comes"
    huge = ", huge pages asked for" if HUGE["GLIBC_TUNABLES"] in os.environ.get("GLIBC_TUNABLES", "") else ""
    return f"{libc}, {'pages kept' if _keeps_pages() else 'as it comes'}{huge}"


def glibc() -> str:
    """`glibc 2.36`; empty where the libc is another one."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""


class _Mallinfo2(ctypes.Structure):
    """mallinfo(3), glibc from 2.33."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def _keeps_pages() -> bool:
    """Whether a large block comes from the heap, and so stays: asked of malloc itself.

    The block is neither touched, so that it costs no memory, nor freed, since to free it would move the threshold that
    is asked for.
    """
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    try:
        libc.mallinfo2.restype = _Mallinfo2
    except AttributeError:  # glibc before 2.33
        return all(os.environ.get(name) == value for name, value in KEPT.items())
    before = libc.mallinfo2().hblkhd
    given = libc.malloc(ALWAYS_MAPPED_BYTES)
    return bool(given) and libc.mallinfo2().hblkhd == before


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
