"""What a command line names for the kit to try: looked up once, before a test is collected."""

from __future__ import annotations

import pytest

from weighbridge.bench.cli.conformance.subject import card_of
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.run import cards
from weighbridge.bench.run.registry import BACKENDS, TASKS


def check(config: pytest.Config) -> None:
    """Raises UsageError where nothing is named, or what is not there."""
    backend, task = (str(config.getoption(f"weighbridge_{what}")) for what in ("backend", "task"))
    if not backend and not task:
        raise pytest.UsageError("name what is to be tried: --backend NAME, or --task NAME; `weighbridge list` has both")
    try:
        if backend:
            cards.backend(card_of(backend, BACKENDS))
        if task:
            cards.task(card_of(task, TASKS))
    except WeighbridgeError as error:
        raise pytest.UsageError(str(error)) from error
