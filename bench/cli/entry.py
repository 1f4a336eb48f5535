"""The console script. It imports the command line only when an interrupt is already answered with one line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager

INTERRUPTED = "weighbridge: interrupted\n"


def script() -> None:
    """Runs the command line in a process of its own, which it ends."""
    try:
        with ended_by_interrupts():
            from bench.cli.main import main

        main()
    except SystemExit as ended:
        leave(ended.code)
    except KeyboardInterrupt:
        sys.stderr.write(INTERRUPTED)
        leave(130)


@contextmanager
def ended_by_interrupts() -> Generator[None]:
    """An interrupt ends the process at once, and raises nothing: there is nothing yet to clear away.

    Modules in C do not all bear an exception while they are imported: NumPy 2 waits forever, or takes it for a broken
    installation, and msgspec 0.22 dies by SIGSEGV where one is raised while it looks at the types of a decoder.
    """
    raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else ignored, as in the background
    if raises:
        signal.signal(signal.SIGINT, _end)
    yield
    if raises:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: object) -> None:
    os.write(2, INTERRUPTED.encode())  # not sys.stderr: a handler may have interrupted a write to it
    os._exit(130)


def leave(code: object) -> None:
    """Ends at once: to free the objects of a hundred thousand records one by one takes half a second."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    script()
