"""What a measurement was taken on: machine, versions, threads, load, commit. Imports no framework."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from bench.core import Device

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
OWN_DISTRIBUTIONS = ("weighbridge", "numpy", "safetensors", "msgspec", "tokenizers")


@cache
def cpu_model() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def usable_cpus() -> list[int]:
    """The processors that this process, and so its children, may run on."""
    return sorted(os.sched_getaffinity(0))


def gpu_names() -> list[str]:
    """Names of the NVIDIA devices that the driver shows; empty without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
    finally:
        pynvml.nvmlShutdown()


def has_device(device: Device) -> bool:
    """Whether the machine shows such a device, judged without a framework: NVML, or the TPU's device files."""
    if device == "cpu":
        return True
    if device == "cuda":
        return bool(gpu_names())
    return any(Path("/dev").glob("accel*")) or (
        any(Path("/dev/vfio").glob("[0-9]*")) and find_spec("libtpu") is not None
    )


def machine_name() -> str:
    """A folder name for this kind of machine, from its device or processor; WEIGHBRIDGE_MACHINE overrides it."""
    chosen = os.environ.get("WEIGHBRIDGE_MACHINE")
    gpus = gpu_names()
    described = chosen or (f"{gpus[0]} x{len(gpus)}" if gpus else f"{cpu_model()} {len(usable_cpus())}-core")
    return re.sub(r"[^a-z0-9]+", "-", described.lower()).strip("-")[:60] or "machine"


@cache
def git_commit() -> str:
    """Short commit of the source tree, with `+` where it was changed; `nogit` outside a checkout."""
    here = Path(__file__).resolve().parent.parent
    try:
        commit = _git(here, "rev-parse", "--short", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "nogit"
    return f"{commit}+" if changed else commit


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


def version(package: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Versions of the suite's own libraries and of `distributions`, where installed."""
    found = {name: version(name) for name in (*OWN_DISTRIBUTIONS, *distributions)}
    return {name: number for name, number in found.items() if number}


def missing(modules: Iterable[str]) -> list[str]:
    """Which import names are not installed; nothing is imported."""
    return [name for name in modules if find_spec(name) is None]


def describe(distributions: Iterable[str] = ()) -> dict[str, Any]:
    """The environment of a record. Sizes in bytes, frequency in MHz, load as the one-minute average."""
    frequency = psutil.cpu_freq()
    return {
        "machine": machine_name(),
        "cpu": cpu_model(),
        "cpus": usable_cpus(),
        "cpu_mhz": round(frequency.current) if frequency else None,
        "memory_bytes": psutil.virtual_memory().total,
        "load_1min": round(os.getloadavg()[0], 2),
        "gpus": gpu_names(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions(distributions),
        "threads": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        "commit": git_commit(),
    }
