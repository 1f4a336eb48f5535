"""`python -m weighbridge.bench.run.guard`: ends the process groups of workers whose parent is gone.

A worker is stopped with all that it started, so that nothing of it runs while others are timed. Where the parent is
killed, the kernel ends the worker, but what the worker had started would stand still for ever. This process reads from
a pipe which groups live; the end of the pipe is the end of the parent.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress


class Guard:
    """The parent's end: started with the first group, told of each group's beginning and end."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def add(self, group: int) -> None:
        """A group that must not outlive this process."""
        from weighbridge.bench.core import child  # not of the process that is started: with numpy it would take 36 MB

        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                child.command("-m", "weighbridge.bench.run.guard"),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **child.path_variables()},
                start_new_session=True,
            )
        self._tell(f"+{group}\n")

    def discard(self, group: int) -> None:
        """A group that has ended: its number may be another's soon."""
        if self.process:
            self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        assert self.process
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()


def watch(lines: Iterable[bytes]) -> set[int]:
    """The groups that live when the lines end."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        groups.add(group) if line[:1] == b"+" else groups.discard(group)
    return groups


def main() -> None:
    """Waits for the end of the parent."""
    for group in watch(sys.stdin.buffer):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
