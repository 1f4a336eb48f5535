"""Weighbridge's own conformance kit, on what this package plugs in."""

from weighbridge.bench.cli.conformance import BackendConformance, TaskConformance


class TestNumpy(BackendConformance):
    """Holds every test: nothing is announced."""

    backend = "numpy"


class TestBreastCancer(TaskConformance):
    """The task, whose model the reference runs."""

    task = "breast-cancer"
