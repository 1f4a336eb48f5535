"""Opens a backend twice, and tells what the second time left: `bench.run.leftovers REQUEST ANSWER`, a child process.

In a process of its own, since what is left behind would be left in the tests. What a library sets up once for a
process, such as its pool of threads, the first time has set up; what the second one adds, a hundredth will add, too.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import psutil
from safetensors.numpy import load_file

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.task import ModelSpec
from weighbridge.bench.run import registry
from weighbridge.bench.run.protocol import encoder, path_from

PATIENCE_S = 2.0
"""For threads and processes that are about to end."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to open, and what to feed it."""

    module: str
    cell: Cell
    model: ModelSpec
    weights: Path
    batch: Path


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of each kind, by name, and how often."""

    threads: Mapping[str, int]
    children: Mapping[str, int]
    files: Mapping[str, int]
    temporary: Mapping[str, int]
    variables: Mapping[str, str]
    signals: Mapping[str, str]
    path: list[str]
    folder: str


def seen() -> Seen:
    """This process now."""
    me = psutil.Process()
    return Seen(
        threads=Counter(each.name.rstrip("0123456789") for each in threading.enumerate()),
        children=Counter(each.name() for each in me.children(recursive=True)),
        files=Counter(each.path for each in me.open_files()),
        temporary=Counter(path.name for path in Path(tempfile.gettempdir()).iterdir()),
        variables=dict(os.environ),
        signals={each.name: str(signal.getsignal(each)) for each in signal.Signals},
        path=list(sys.path),
        folder=str(Path.cwd()),
    )  # fmt: skip


ONCE = ("variables", "signals", "path", "folder")
"""What nobody may change even once."""


def more(before: Seen, after: Seen) -> Iterator[str]:
    """What was left in between, in words."""
    for kind in ("threads", "children", "files", "temporary"):
        added = Counter(getattr(after, kind)) - Counter(getattr(before, kind))
        yield from (f"{kind}: {name}" for name in sorted(added))
    for kind in ("variables", "signals"):
        old, new = getattr(before, kind), getattr(after, kind)
        yield from (f"{kind}: {name}" for name in sorted(new.keys() | old.keys()) if new.get(name) != old.get(name))
    yield from (f"sys.path: {each}" for each in dict.fromkeys(after.path) if each not in before.path)
    if after.folder != before.folder:
        yield f"working directory: {after.folder}"


def used(request: Request) -> None:
    """Opens, steps and closes."""
    session = registry.backend(request.module, request.cell.backend).open(request.model, request.weights, request.cell)
    y = session.step(session.to_device(load_file(request.batch)))
    session.sync(y)
    session.to_host(y)
    session.close()
    del session, y
    gc.collect()


def left(request: Request) -> list[str]:
    """What is there after the second time and was not after the first, or at the start."""
    for name in registry.backend(request.module, request.cell.backend).imports(request.model):
        importlib.import_module(name)
    start = seen()
    used(request)
    first = seen()
    kept = {name: getattr(start, name) for name in ONCE}
    before = msgspec.structs.replace(first, **kept)
    used(request)
    until = time.monotonic() + PATIENCE_S
    while (found := list(more(before, seen()))) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def main() -> None:
    """Reads a request from one file and writes the answer to another: what a plug-in prints is no answer."""
    request, answer = map(Path, sys.argv[1:])
    asked = msgspec.json.decode(request.read_bytes(), type=Request, dec_hook=path_from)
    answer.write_bytes(encoder.encode(left(asked)))


if __name__ == "__main__":
    main()
