"""`weighbridge` in a process of its own, from one that has imported it already: twenty milliseconds, not a second."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import weighbridge.bench.cli.main as _warm  # noqa: F401 -- what every child needs, imported once
import weighbridge.bench.report.frame as _warm_frame  # noqa: F401
from weighbridge.bench.cli import entry
from weighbridge.bench.run import cards

cards.backends(), cards.tasks()  # read once, by a child that no copy of this process must talk to
cards.describer.close()
ROOM_BYTES = 2**29
"""Of memory, above what the imports take: the files of these attacks are of kilobytes."""
LIMIT_S = 60.0
SIGNS = ("Traceback (most recent call last)", "a fault of its own")
CONTROLS = (b"\x1b", b"\xc2\x9b", b"\x07", "\u202e".encode())


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: bytes
    err: bytes

    @property
    def faults(self) -> list[str]:
        """What no command may show, whatever it was given."""
        told = self.err.decode(errors="replace")
        found = [f"{sign}: {told[-400:]}" for sign in SIGNS if sign in told]
        found += [f"exit code {self.code}: {told[-400:]}"] if self.code not in (0, 1, 2) else []
        found += [f"{sign!r} on the terminal" for sign in CONTROLS if sign in self.out + self.err]
        found += ["exit code 2 without a word"] if self.code == 2 and not told.strip() else []
        return found


def weighbridge(words: Sequence[str], folder: Path, before: Callable[[], object] = lambda: None) -> Ended:
    """Run a command in `folder`, as if it were typed; `before` is done in its process first."""
    return forked(
        lambda: (before(), sys.argv.__setitem__(slice(None), ["weighbridge", *words]), entry.script()), folder
    )


def forked(work: Callable[[], object], folder: Path, limit_s: float = LIMIT_S) -> Ended:
    """Do something in a copy of this process, with bounded memory and time."""
    files = [folder / ".stdout", folder / ".stderr"]
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.chdir(folder)
            for number, file in enumerate(files, start=1):
                os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            room = _size_bytes() + ROOM_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (room, room))
            work()
            sys.stdout.flush()
            os._exit(0)
        except BaseException:  # noqa: BLE001 -- whatever it was, it is told
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        finally:
            os._exit(99)
    return Ended(_wait(child, limit_s), *(file.read_bytes() for file in files))


def _size_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _wait(child: int, limit_s: float) -> int:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 124
