"""Weighbridge in a notebook: `run` weighs, `compare` tells two runs apart, `frame` is a tidy pandas DataFrame.

import weighbridge
found = weighbridge.run(tasks=["semantic-search"], backends=["torch", "flax"])
found                   # the report, with table and plots
found.frame()           # the figures
weighbridge.compare("results/<machine>/<before>", found.folder)
"""

from __future__ import annotations

import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from bench.cli.notebook import compare, run

__all__ = ["__version__", "compare", "frame", "run"]

try:
    __version__ = metadata.version("weighbridge")
except metadata.PackageNotFoundError:  # a clone that nobody installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    """`run` and `compare`, which import the command line when they are first asked for."""
    if name not in ("compare", "run"):
        raise AttributeError(f"module 'weighbridge' has no attribute {name!r}")
    from bench.cli import notebook

    return getattr(notebook, name)


def frame(*paths: str | Path, reference: str = "", samples: bool = False) -> pd.DataFrame:
    """The records of one or several run folders or journals, one row a cell; one row a timed step with `samples`.

    Columns as in report.csv, in SI units: `step_s`, `ratio`, `ratio_low`, `ratio_high`, `verdict`, `items_per_s`,
    `host_peak_bytes`, ... Ratios are to `reference`; where none is named, to each run's own. Raises
    WeighbridgeError where a path holds no record; warns of each line that is none.
    """
    from bench.report import frame as tidy
    from bench.report import runs

    found = runs.rows_of([Path(path) for path in paths], reference)
    for complaint in found.complaints:
        warnings.warn(complaint, stacklevel=2)
    rows = found.rows
    return tidy.samples(rows) if samples else tidy.frame(rows)


if __name__ == "__main__":  # python -m weighbridge
    from bench.cli.entry import script

    script()
