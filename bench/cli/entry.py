"""The console script. It imports the command line only when an interrupt is already answered with one line."""

from __future__ import annotations

import os
import sys


def script() -> None:
    """Runs the command line in a process of its own, which it ends."""
    try:
        from bench.cli.main import main

        main()
    except SystemExit as ended:
        leave(ended.code)
    except KeyboardInterrupt:
        sys.stderr.write("weighbridge: interrupted\n")
        leave(130)


def leave(code: object) -> None:
    """Ends at once: to free the objects of a hundred thousand records one by one takes half a second."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    script()
