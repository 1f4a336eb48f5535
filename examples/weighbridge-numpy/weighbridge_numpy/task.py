"""Breast cancer: benign or malignant, from thirty measurements of a cell's nucleus.

Source: the Wisconsin diagnostic set that scikit-learn carries (Street, Wolberg & Mangasarian, 1993), 569 tumours. Every
fifth row (index % 5 == 4) is held out: 456 to train on, 113 to be scored on.

One worked example: the first tumour, mean radius 17.99, texture 10.38 and so on, is malignant (0). The model regresses
the label, 0 or 1, by least squares, and is right where it lies on the label's side of a half.
"""

from __future__ import annotations

from importlib.resources import files as resources

import numpy as np

from weighbridge.bench.core import (
    Arrays,
    Examples,
    Files,
    ModelSpec,
    Preset,
    Recipe,
    Split,
    Target,
    Task,
    Trained,
    metrics,
)

FEATURES, HELD_OUT = 30, 5


def data(files: Files, split: Split, preset: Preset) -> Examples:
    """Standardised features (N, 30), and the label (N,) as a number."""
    text = (resources("sklearn") / "datasets" / "data" / "breast_cancer.csv").read_text()
    table = np.array([line.split(",") for line in text.splitlines()[1:]], np.float64)
    x_NF, label_N = table[:, :FEATURES], table[:, FEATURES]
    held_out_N = np.arange(len(x_NF)) % HELD_OUT == HELD_OUT - 1
    known_NF = x_NF[~held_out_N]
    x_NF = (x_NF - known_NF.mean(axis=0)) / known_NF.std(axis=0)
    chosen_N = held_out_N if split == "eval" else ~held_out_N
    return Examples(
        inputs={"features": x_NF[chosen_N].astype(np.float32)}, targets={"target": label_N[chosen_N].astype(np.float32)}
    )


def score(rows: Arrays) -> dict[str, float]:
    """Share of tumours on the right side of a half."""
    return {"accuracy": metrics.accuracy(rows["target"] > 0.5, rows["prediction"] > 0.5)}


TASK = Task(
    name="breast-cancer",
    family="classification",
    pattern="tabular classification",
    version=1,
    models={
        "small": ModelSpec(
            architecture="mlp",
            config={"in_features": FEATURES, "hidden": [32], "out_features": 1, "activation": "gelu"},
            weights=Trained(seed=0),
        ),
    },
    data=data,
    score=score,
    loss="mse",
    recipe=Recipe(epochs=20, batch_size=32, peak_learning_rate=5e-3, weight_decay=0.1),
    target=Target(
        metric="accuracy", value=0.97, higher_is_better=True, source="five seeds of the recipe gave 0.973 to 0.982"
    ),
    baseline=Target(
        metric="accuracy", value=0.956, higher_is_better=True, source="scikit-learn's RidgeClassifier, same split"
    ),
    scenarios=("infer",),
    batch_size={"small": 32},
    item="tumour",
    source="breast cancer (scikit-learn)",
    licence="BSD-3-Clause (scikit-learn); data CC BY 4.0 (UCI)",
)
