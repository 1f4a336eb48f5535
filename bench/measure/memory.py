"""Host and device memory, one vocabulary for all backends. None is "n/a", never 0.

The host peak is `VmHWM`, reset through `/proc/self/clear_refs`; `ru_maxrss` cannot be reset and a child
inherits its parent's (measuring rule 18).
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import resource
import time
from pathlib import Path

import numpy as np

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
SIGNS_OF_FULL = (
    "bad_alloc",
    "MemoryError",
    "annot allocate memory",
    "can't allocate memory",
    "ut of memory",
    "RESOURCE_EXHAUSTED",
    "pthread_create failed",
    "can't start new thread",
    "failed to map segment",
    "Resource temporarily unavailable",
)
"""What systems, allocators and loaders print as they fail for a full memory or address space."""
LIMIT_VARIABLE = "WEIGHBRIDGE_MEMORY_LIMIT"
"""Bytes that a worker may take; its parent sets it."""


def limit_variables(limit_bytes: int | None) -> dict[str, str]:
    """The environment of a worker that is bounded; nothing where it is not."""
    return {} if limit_bytes is None else {LIMIT_VARIABLE: str(limit_bytes)}


def bound_host() -> None:
    """Bounds this process as `LIMIT_VARIABLE` says, so that a full memory is an error here and nobody else's.

    `RLIMIT_DATA`, which counts private memory that may be written to (Linux 4.7 and later). `RLIMIT_AS` counts
    libraries and reservations, too: under 3 GiB of it torch's own import fails, at 0.5 GiB resident.
    """
    if text := os.environ.get(LIMIT_VARIABLE):
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        limit = int(text) if hard == resource.RLIM_INFINITY else min(int(text), hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def says_full(text: str) -> bool:
    """Whether an error's text, or the last lines of a log, say that memory ran out."""
    return any(sign in text for sign in SIGNS_OF_FULL)


def host_peak_bytes(status: Path = STATUS) -> int | None:
    """Peak resident bytes of this process since the last reset; None where the system does not tell."""
    return _booked("VmHWM", status)


def _booked(name: str, status: Path) -> int | None:
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return None
    kibibytes = [int(line.split()[1]) for line in lines if line.startswith(f"{name}:")]
    return kibibytes[0] * 1024 if kibibytes else None


def resident_bytes(status: Path = STATUS) -> int | None:
    """Resident bytes of this process now; None where the system does not tell."""
    return _booked("VmRSS", status)


def minor_faults() -> int:
    """Minor page faults of this process so far: pages that the kernel had to find, or clear, before they were used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


FAULTED_BYTES = 2**24


def fault_cost_s() -> float:
    """Seconds that a minor fault of fresh memory costs here, its clearing included: the best of three times 4,096."""
    return min(_touched_s() for _ in range(3)) * mmap.PAGESIZE / FAULTED_BYTES


def _touched_s() -> float:
    with mmap.mmap(-1, FAULTED_BYTES) as fresh:
        pages = np.frombuffer(fresh, np.uint8)
        begin = time.perf_counter()
        pages[:: mmap.PAGESIZE] = 1
        elapsed = time.perf_counter() - begin
        del pages
    return elapsed


def give_back() -> None:
    """Hands free pages to the kernel, once: a heap that keeps its pages would book on the model what scoring left."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:  # another libc
        return


def reset_host_peak(clear_refs: Path = CLEAR_REFS) -> bool:
    """Starts the host peak anew from what is resident now; False where the system does not allow it."""
    gc.collect()
    give_back()
    try:
        clear_refs.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def device_process_bytes() -> int | None:
    """Bytes that NVIDIA's management library books on this process, context included; None without a device.

    NVML tells pid and bytes of every process on a device; on a MIG slice or in a container it may tell neither.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        devices = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        running = [each for device in devices for each in pynvml.nvmlDeviceGetComputeRunningProcesses(device)]
        used = [int(each.usedGpuMemory) for each in running if each.pid == os.getpid() and each.usedGpuMemory]
        return sum(used) or None
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()
