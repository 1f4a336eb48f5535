"""What a measurement was taken on: machine, versions, threads, load, commit. Imports no framework."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from weighbridge.bench.core.arrays import Facts
from weighbridge.bench.core.cell import Device
from weighbridge.bench.core.child import PACKAGE

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
COMPUTING = (
    "core/arrays",
    "core/backend",
    "core/cell",
    "core/metrics",
    "core/task",
    "run/prepare",
    "run/worker",
    "scenarios/generate",
    "scenarios/infer",
    "scenarios/steps/answer",
    "scenarios/steps/batches",
    "scenarios/steps/scenario",
    "storage/prepared",
    "storage/score_cache",
)
"""Files of this folder that a score and the reference's outputs are computed by."""
OWN_DISTRIBUTIONS = ("weighbridge", "numpy", "safetensors", "msgspec", "tokenizers")


@cache
def cpu_info(path: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Return what the system tells of the first processor; empty where it tells nothing."""
    try:
        lines = path.read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


@cache
def cpu_model() -> str:
    """The processor's name; where that says no model, as virtual machines' do, with family and model number."""
    info = cpu_info()
    name = info.get("model name") or platform.processor() or platform.machine()
    named, _, _ = name.partition("@")  # behind it stands a frequency
    if any(map(str.isdigit, named)) or "cpu family" not in info:
        return name
    return f"{name} family {info['cpu family']} model {info.get('model', '')}".rstrip()


INSTRUCTIONS = {
    "avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX-512 BF16", "amx_tile": "AMX", "asimd": "NEON",
    "sve": "SVE",
}  # fmt: skip
"""Flags of /proc/cpuinfo that decide how fast matrix products can be, and what they are called."""


def instruction_set() -> str:
    """`AVX2`, or `AVX2, AVX-512, AMX`: what the processor shows; empty where the system does not tell."""
    info = cpu_info()
    flags = info.get("flags", info.get("Features", "")).split()
    return ", ".join(name for flag, name in INSTRUCTIONS.items() if flag in flags)


def is_guest() -> bool:
    """Whether the processor shows a hypervisor, as x86 does: others may then be using the same cores unseen."""
    return "hypervisor" in cpu_info().get("flags", "").split()


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
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():  # an environment may lie in a checkout of its user's
        return "nogit"
    try:
        commit = _git(here, "rev-parse", "--short", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "nogit"
    return f"{commit}+" if changed else commit


def _git(folder: Path, *words: str) -> str:
    # else `git status` writes a fresher index, and killed meanwhile leaves a lock that bars the user's next commit
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


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
    return [name for name in modules if not _found(name)]


def _found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a submodule, its package
        return False


def process_cpu_s(pid: int) -> float:
    """Processor seconds that a process and all that it started have used, all threads together; 0 once it is gone.

    A compiler's workers count for the cell that started them: they are no neighbour of it.
    """
    try:
        process = psutil.Process(pid)
        own = _tree_s(process)
        return own + sum(map(_alive_s, process.children(recursive=True)))
    except psutil.Error:
        return 0.0


def _tree_s(process: psutil.Process) -> float:
    """What a process used, and those of its children that have ended."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def _alive_s(process: psutil.Process) -> float:
    try:
        return _tree_s(process)
    except psutil.Error:  # ended since it was listed: it is in its parent's account from now on
        return 0.0


def busy_cpu_s() -> float:
    """Processor seconds that anything on this machine has used since it started."""
    times = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def temperature_c() -> float | None:
    """The hottest sensor; None where the system shows none."""
    sensors = psutil.sensors_temperatures()
    return max((each.current for found in sensors.values() for each in found), default=None)


def cpu_mhz() -> float | None:
    """Current frequency, the mean over processors; None where the system does not tell."""
    frequency = psutil.cpu_freq()
    return round(frequency.current) if frequency else None


def free_bytes() -> int:
    """Host memory that can be had without swapping: the system's account, or this control group's where tighter."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text().strip() for name in ("max", "current"))
    except OSError:
        return free
    return min(free, int(limit) - int(used)) if limit.isdecimal() else free


@cache
def source_hash(*files: Path) -> str:
    """Hash of the code that computes, of Python's version and the processor: what a remembered figure depends on.

    That is `COMPUTING`, and `files`: of a task, of a backend. Code that plans, tells or draws is not part of it.
    """
    digest = hashlib.sha256(f"{sys.version} {cpu_model()} {usable_cpus()}".encode())
    here = Path(__file__).resolve().parents[1]
    for path in (*(here / f"{name}.py" for name in COMPUTING), *files):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def module_file(thing: Any) -> Path:
    """The source file of a function's or class's module."""
    return Path(str(sys.modules[thing.__module__].__file__))


def module_files(thing: Any) -> list[Path]:
    """The source file of a function's or class's module, and those of its folder that it takes names from."""
    folder = thing.__module__.rpartition(".")[0]
    left, found = [str(thing.__module__)], set[str]()
    while left:
        found.add(name := left.pop())
        taken = {_module_of(value) for value in vars(sys.modules[name]).values()}
        left += [each for each in taken if folder and each.rpartition(".")[0] == folder and each not in found]
    return sorted(Path(str(sys.modules[name].__file__)) for name in found)


def _module_of(value: Any) -> str:
    return value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", ""))


def package_files(thing: Any) -> list[Path]:
    """Return all source files of a function's or class's package: the outermost, of ours that below `PACKAGE`."""
    first, *rest = thing.__module__.split(".")
    package = sys.modules[f"{first}.{rest[0]}" if first == PACKAGE and rest else first]
    found = [path for folder in getattr(package, "__path__", ()) for path in Path(folder).rglob("*.py")]
    return sorted(found) or [module_file(thing)]


def describe(distributions: Iterable[str] = ()) -> Facts:
    """The environment of a record. Sizes in bytes, frequency in MHz, load as the one-minute average."""
    return {
        "machine": machine_name(),
        "cpu": cpu_model(),
        "cpus": usable_cpus(),
        "instruction_set": instruction_set(),
        "cpu_mhz": cpu_mhz(),
        "temperature_c": temperature_c(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_1min": round(os.getloadavg()[0], 2),
        "gpus": gpu_names(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions(distributions),
        "threads": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        "commit": git_commit(),
    }
