"""The server's end of the generator (`arrivals`): starts it, and reads from its pipe who has come."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager

from weighbridge.bench.core import child
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.scenarios.serve.arrivals import MOMENT

F_SETPIPE_SZ = 1031
PIPE_BYTES = 2**20
"""Room for 131,072 requests that the server has not looked at; Linux grants as much to anybody."""
HEAD_START_S = 0.5
"""For an interpreter to start and draw its schedule: it must be waiting when the first request is due."""
ROOM_A_QUERY_S = 2e-6


class Pipe:
    """A `bench.scenarios.serve.server.Line` that a generator writes to."""

    def __init__(self, end: int) -> None:
        self.end, self.unread, self.open = end, b"", True
        self.poll = select.poll()
        self.poll.register(end, select.POLLIN)

    def take(self, wait_s: float | None) -> list[float]:
        """See `Line`. Raises WeighbridgeError where requests are awaited and the generator is gone."""
        if not self.poll.poll(None if wait_s is None else wait_s * 1000):
            return []
        read = os.read(self.end, PIPE_BYTES) if self.open else b""
        self.open = bool(read)
        if not read and wait_s is None:
            raise WeighbridgeError("the generator of requests died; look at the log, and run again")
        self.unread += read
        whole = len(self.unread) - len(self.unread) % MOMENT.size
        found, self.unread = self.unread[:whole], self.unread[whole:]
        return [moment for (moment,) in MOMENT.iter_unpack(found)]


@contextmanager
def arriving(rate: float, count: int, seed: int) -> Generator[tuple[Pipe, float]]:
    """A generator that starts at the given moment of the monotonic clock, and is gone afterwards."""
    ours, theirs = os.pipe()
    fcntl.fcntl(ours, F_SETPIPE_SZ, PIPE_BYTES)
    start = time.monotonic() + HEAD_START_S + ROOM_A_QUERY_S * count
    words = [str(theirs), repr(start), repr(rate), str(count), str(seed), str(os.getpid())]
    generator = subprocess.Popen(
        child.command("-m", "weighbridge.bench.scenarios.serve.arrivals", *words),
        env={**os.environ, **child.path_variables()},
        pass_fds=(theirs,),
    )
    os.close(theirs)
    try:
        yield Pipe(ours), start
    finally:
        os.close(ours)
        generator.kill()
        generator.wait()
