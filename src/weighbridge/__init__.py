"""Weighbridge in a notebook: `run` weighs, `compare` tells two runs apart, `frame` is a tidy pandas DataFrame.

import weighbridge
found = weighbridge.run(tasks=["semantic-search"], backends=["torch", "flax"])
found                   # the report, with table and plots
found.frame()           # the figures
weighbridge.compare("results/<machine>/<before>", found.folder)
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from weighbridge.bench.cli.notebook import compare, run

    __version__: str

__all__ = ["__version__", "compare", "frame", "run"]


def __getattr__(name: str) -> Any:
    """`__version__`, and `run` and `compare`: every child imports this file, and few want one of them."""
    if name == "__version__":
        return _version()
    if name not in ("compare", "run"):
        raise AttributeError(f"module 'weighbridge' has no attribute {name!r}")
    from weighbridge.bench.cli import notebook

    return getattr(notebook, name)


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("weighbridge")
    except metadata.PackageNotFoundError:  # a clone that nobody installed
        return "0+unknown"


def frame(*paths: str | Path, reference: str = "", samples: bool = False) -> pd.DataFrame:
    """The records of one or several run folders or journals, one row a cell; one row a timed step with `samples`.

    Columns as in report.csv, in SI units: `step_s`, `ratio`, `ratio_low`, `ratio_high`, `verdict`, `items_per_s`,
    `host_peak_bytes`, ... Ratios are to `reference`; where none is named, to each run's own. Raises
    WeighbridgeError where a path holds no record; warns of each line that is none.
    """
    from weighbridge.bench.report import frame as tidy
    from weighbridge.bench.report import runs

    found = runs.rows_of([Path(path) for path in paths], reference)
    for complaint in found.complaints:
        warnings.warn(complaint, stacklevel=2)
    rows = found.rows
    return tidy.samples(rows) if samples else tidy.frame(rows)
