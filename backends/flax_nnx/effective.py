"""What was effective, read back from the process and from what JAX compiled. Imports no framework."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

POOL_THREAD = "tf_XLAEigen"
"""The kernel's name, cut to 15 letters, of a thread that XLA:CPU runs operations on."""

COMMAND_BUFFERS = "--xla_gpu_enable_command_buffer="
FEATURES = re.compile(rb"[+-][a-z0-9][a-z0-9._-]*(?:,[+-][a-z0-9][a-z0-9._-]*){15,}")
VECTORS = ("+amx", "+avx", "+fma", "+neon", "+sve", "+sme")


def threads(platform: str) -> int | None:
    """Threads that XLA:CPU shares its work among, counted in this process; elsewhere the CPUs the host may use."""
    return pool_threads(Path("/proc/self/task")) if platform == "cpu" else len(os.sched_getaffinity(0))


def device(platform: str) -> str:
    """A cell's word for a platform of JAX."""
    return {"gpu": "cuda"}.get(platform, platform)


def pool_threads(tasks: Path) -> int | None:
    """Threads of XLA's pool among a process's tasks; None where the kernel does not tell or names none so."""
    try:
        names = [(task / "comm").read_text() for task in tasks.iterdir()]
    except OSError:
        return None
    return sum(name.startswith(POOL_THREAD) for name in names) or None


def command_buffers(flags: str) -> bool:
    """Whether XLA may record CUDA graphs under these `XLA_FLAGS`: an empty list of commands turns them off.

    Whether it did cannot be read back: its optimised programs name none (docs/devices.md).
    """
    given = [flag.removeprefix(COMMAND_BUFFERS) for flag in flags.split() if flag.startswith(COMMAND_BUFFERS)]
    return not given or given[-1].strip("'\"") not in ("", "none", "NONE")


def target(program: Any) -> str | None:
    """The vector instructions that jaxlib compiled for, out of the program's own bytes; None where they do not tell."""
    found = FEATURES.search(program.runtime_executable().serialize())
    features = found.group().decode().split(",") if found else []
    return " ".join(name[1:] for name in features if name.startswith(VECTORS)) or None


def sizes(program: Any) -> dict[str, int] | None:
    """What the compiler knows beforehand of a program's memory; not every platform tells."""
    account = program.memory_analysis()
    if account is None:
        return None
    return {
        "argument_bytes": account.argument_size_in_bytes,
        "output_bytes": account.output_size_in_bytes,
        "alias_bytes": account.alias_size_in_bytes,
        "temp_bytes": account.temp_size_in_bytes,
        "generated_code_bytes": account.generated_code_size_in_bytes,
    }
