"""BERT's body as an embedder, and with a head that classifies."""

from __future__ import annotations

from tests.parity.case import case_of, sentences

SMALL = {"vocab_size": 99, "hidden_size": 48, "num_attention_heads": 4, "intermediate_size": 80, "num_hidden_layers": 3}
CASES = {
    "bert": case_of("bert", sentences(7, 23), **SMALL),
    "bert-classifier": case_of("bert_classifier", sentences(7, 23), num_labels=3, **SMALL),
}
