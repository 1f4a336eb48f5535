"""What is not named is not collected."""

from pathlib import Path

import pytest

ASKED = {"test_backend.py": "weighbridge_backend", "test_task.py": "weighbridge_task"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep the file whose subject is named."""
    option = ASKED.get(collection_path.name)
    return True if option and not config.getoption(option, "") else None
