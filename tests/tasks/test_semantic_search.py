"""The model's own check: three sentences whose similarities its authors publish."""

from __future__ import annotations

import numpy as np
import pytest

from weighbridge.bench.storage import packages
from weighbridge.tasks import semantic_search

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
SIMILARITY = [0.6660, 0.1046, 0.1411]
"""Of the first and second, first and third, second and third: https://www.sbert.net, front page."""


def test_three_sentences_have_the_published_similarities() -> None:
    from safetensors.torch import load_file

    files = packages.files([semantic_search.MODEL])
    config = transformers.BertConfig(**semantic_search.TASK.models["small"].config)
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    weights = load_file(files[semantic_search.MODEL] / semantic_search.WEIGHTS)
    missing = model.load_state_dict(weights, strict=False).missing_keys
    assert not missing
    batch = {
        name: torch.from_numpy(array)
        for name, array in semantic_search.tokens(files, SENTENCES, semantic_search.LENGTH).items()
    }
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    unit = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1).numpy()
    np.testing.assert_allclose((unit @ unit.T)[np.triu_indices(3, 1)], SIMILARITY, atol=1e-3)
