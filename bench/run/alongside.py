"""A second process for half of the work: large journals are read by two processors.

The child is a fresh interpreter that imports a function of `bench` by name; what the function returns comes back as
MessagePack in a file. Nothing is pickled, and nothing is forked from a parent that may hold threads.
"""

from __future__ import annotations

import importlib
import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from weighbridge.bench.core import child
from weighbridge.bench.core.errors import WeighbridgeError

T = TypeVar("T")
OURS = f"{WeighbridgeError.__module__}.{WeighbridgeError.__qualname__}: "
WORTH_BYTES = 32 * 2**20
"""Under this size a second interpreter takes longer to start than it saves."""


@contextmanager
def alongside(
    function: Callable[..., T], *arguments: str, returns: Any, variables: Mapping[str, str] | None = None
) -> Generator[Callable[[], T]]:
    """Starts `function(*arguments)` in a process of its own; call what is yielded to wait for its result.

    Raises WeighbridgeError where that process fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result")
        words = [function.__module__, function.__name__, str(result), *arguments]
        environment = {**os.environ, **child.path_variables(), **(variables or {})}
        process = subprocess.Popen(
            child.command("-m", "weighbridge.bench.run.alongside", *words), env=environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

        def wait() -> T:
            _, told = process.communicate()
            if process.returncode:
                last = (told.strip().splitlines() or ["a reading process died"])[-1]
                raise WeighbridgeError(last.removeprefix(OURS))
            with result.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return msgspec.msgpack.decode(content, type=returns)

        try:
            yield wait
        finally:
            process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()


def main() -> None:
    """The child's end."""
    import gc

    gc.disable()
    module, name, result, *arguments = sys.argv[1:]
    found = getattr(importlib.import_module(module), name)(*arguments)
    Path(result).write_bytes(msgspec.msgpack.encode(found))
    os._exit(0)  # to free what was read object by object takes a tenth of the time that reading took


if __name__ == "__main__":
    main()
