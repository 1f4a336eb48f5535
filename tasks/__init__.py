"""One file a task. Each module defines exactly one `TASK`."""
