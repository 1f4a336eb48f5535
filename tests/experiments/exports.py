"""`python -m tests.experiments.exports FOLDER`: the table of docs/export.md, of all cards in a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from weighbridge.bench.report.markup import escape, grid
from weighbridge.bench.report.model_card import error, score, weight, worst
from weighbridge.bench.report.units import number
from weighbridge.bench.storage import exports
from weighbridge.bench.storage.exports import CARD, ModelCard

HEADINGS = ("task", "format", "by", "size", "error of the reference's", "at rows", "score of the reload")


def table(cards: Iterable[ModelCard]) -> str:
    """A line a card, task by task."""
    return grid(HEADINGS, [_line(card) for card in sorted(cards, key=lambda card: (card.task, card.format))])


def _line(card: ModelCard) -> list[str]:
    found = worst(card.proofs)
    judged = f"{error(found)} of {number(found.parity.limit)}{'' if card.passed else ' FAILED'}"
    rows = ", ".join(str(proof.rows) for proof in card.proofs)
    name = f"{card.task}[{card.preset}]"
    return [*map(escape, (name, card.format, card.backend)), weight(card.size_bytes), judged, rows, escape(score(card))]


def main() -> None:
    """Prints it."""
    print(table(exports.read(path.parent) for path in Path(sys.argv[1]).glob(f"*/{CARD}")))


if __name__ == "__main__":
    main()
