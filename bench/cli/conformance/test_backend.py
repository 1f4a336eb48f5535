"""The backend that `--backend` names."""

from weighbridge.bench.cli.conformance.backend import BackendConformance


class TestBackend(BackendConformance):
    """Without announcements: those stand in a third party's own tests."""
