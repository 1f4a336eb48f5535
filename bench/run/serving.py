"""The child's end of the pipes by which a parent talks to it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from functools import partial
from typing import TextIO

from weighbridge.bench.run.protocol import Answer, encoder

PR_SET_PDEATHSIG = 1


def begin() -> TextIO:
    """The pipe that answers go through, as `bench.run.process` named it. What this process prints goes to its log."""
    die_with_parent(int(sys.argv[1]))
    sys.stdout = sys.stderr  # in the log, both in the order of printing
    return answers_to(int(sys.argv[2]))


def tell(pipe: TextIO, answer: Answer) -> None:
    """Sends one answer."""
    pipe.write(encoder.encode(answer).decode() + "\n")
    pipe.flush()


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies, however that happens; it may have died already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def answers_to(descriptor: int) -> TextIO:
    """Open the pipe to the parent; processes that this one starts do not hold it open, nor answer in its place."""
    os.set_inheritable(descriptor, False)
    os.register_at_fork(after_in_child=partial(_hang_up, descriptor))
    return os.fdopen(descriptor, "w", encoding="utf-8")


def _hang_up(descriptor: int) -> None:
    """In a copy of this process, which goes on in the middle of a step: it hears no request, and nobody hears it."""
    nobody = os.open(os.devnull, os.O_RDWR)
    os.dup2(nobody, descriptor, inheritable=False)
    os.dup2(nobody, 0)
    os.close(nobody)


def one_line(error: BaseException) -> str:
    """An error's type and first line."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}"[:500]
