"""The console script. It imports the command line only when an interrupt is already answered with one line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from types import FrameType

INTERRUPTED = "weighbridge: interrupted\n"
BEAR_NO_EXCEPTION = ("importlib._bootstrap", "msgspec")
"""While one of these is at work, code in C waits for it that may bear no exception: NumPy's core, as it is imported,
waits forever or takes it for a broken installation; msgspec 0.22, as it looks at types, dies by SIGSEGV."""


def script() -> None:
    """Runs the command line in a process of its own, which it ends."""
    hear_interrupts()
    try:
        from weighbridge.bench.cli.main import main

        main()
    except SystemExit as ended:
        leave(ended.code)
    except KeyboardInterrupt:
        sys.stderr.write(INTERRUPTED)
        leave(130)


def hear_interrupts() -> None:
    """From here on an interrupt is answered by `interrupt`, unless a shell had them ignored, as in the background."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raises KeyboardInterrupt where that can be borne; else ends the process as a kill would, but with a line."""
    if any(name.startswith(BEAR_NO_EXCEPTION) for name in _modules(frame)):
        os.write(2, INTERRUPTED.encode())  # not sys.stderr: this may have interrupted a write to it
        os._exit(130)
    raise KeyboardInterrupt


def _modules(frame: FrameType | None) -> Generator[str]:
    """The names of the modules whose code is at work, from the innermost outwards."""
    while frame is not None:
        yield str(frame.f_globals.get("__name__"))
        frame = frame.f_back


def leave(code: object) -> None:
    """Ends at once: to free the objects of a hundred thousand records one by one takes half a second."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    script()
