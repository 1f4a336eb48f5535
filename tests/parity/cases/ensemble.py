"""Deep ensembles with a mean and a variance a member."""

from __future__ import annotations

from tests.parity.case import case_of, features

CASES = {
    "ensemble": case_of(
        "ensemble", features(65, 7), in_features=7, hidden=[33, 17], members=3, activation="gelu", layer_norm=True,
        min_variance=0.01,
    ),
    "ensemble-defaults": case_of("ensemble", features(9, 5), in_features=5, hidden=[12]),
    "ensemble-deep": case_of(
        "ensemble", features(17, 11), in_features=11, hidden=[40, 24, 9], members=7, activation="silu",
        min_variance=1e-3,
    ),
    "ensemble-linear": case_of("ensemble", features(13, 6), in_features=6, hidden=[], members=2),
    "ensemble-of-one": case_of(
        "ensemble", features(21, 3), in_features=3, hidden=[19, 8], members=1, activation="tanh", layer_norm=True,
    ),
}  # fmt: skip
