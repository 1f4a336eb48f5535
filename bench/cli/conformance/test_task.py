"""The task that `--task` names."""

from weighbridge.bench.cli.conformance.task import TaskConformance


class TestTask(TaskConformance):
    """Without announcements: those stand in a third party's own tests."""
