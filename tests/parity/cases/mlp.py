"""Multi-layer perceptrons."""

from __future__ import annotations

from tests.parity.case import case_of, features

CASES = {
    "mlp": case_of("mlp", features(65, 7), in_features=7, hidden=[33, 17], out_features=1, layer_norm=True),
    "mlp-relu": case_of("mlp", features(9, 5), in_features=5, hidden=[12], out_features=3, activation="relu"),
}
