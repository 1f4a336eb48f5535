"""A model card for people: what an exported folder is, what was proven of it, and how it is loaded. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from weighbridge.bench.core.task import Target
from weighbridge.bench.report.markup import escape, grid
from weighbridge.bench.report.units import number, size
from weighbridge.bench.report.visible import on_one_line
from weighbridge.bench.storage.exports import ModelCard, Port, Proof


def render(card: ModelCard) -> str:
    """The card as Markdown; every text in it is shown as it is."""
    parts = [
        f"# {escape(card.task)} ({escape(card.preset)}), exported to {escape(card.format)}",
        _verdict(card),
        grid(["", ""], _facts(card)),
        "## Load it",
        _code(card.loading),
        f"`inputs` and `outputs` are named arrays of any number of rows. {escape(card.note)}".strip(),
        grid(["", "name", "dtype", "sizes"], _ports(card)),
        _generation(card),
        "## Proven in a fresh process, by these files alone",
        grid(["rows at a time", "error", "limit", "equal decisions"], map(_proof, card.proofs)),
        f"Errors are distances from float64, in units of the reference's own at {escape(card.cell.precision)}.",
        "## Data",
        grid(["package", "version", "licence", "source"], _data(card)),
        "## Files",
        grid(["file", "size", "sha256"], _files(card)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def score(card: ModelCard) -> str:
    """The figure that the task's target is of, as it was measured on the reopened files."""
    value = card.score.get(card.target.metric)
    return f"{card.target.metric} {number(value)}" if value is not None else ""


def weight(size_bytes: int) -> str:
    """The size of files, of which some are small."""
    return size(size_bytes) if size_bytes >= 2**20 else f"{size_bytes:,} bytes"


def worst(proofs: Iterable[Proof]) -> Proof:
    """The proof with the largest error; one that is not finite is larger than all others."""
    return max(proofs, key=lambda proof: float("inf") if proof.parity.ratio is None else proof.parity.ratio)


def error(proof: Proof) -> str:
    """In units of the reference's own."""
    return "not finite" if proof.parity.ratio is None else number(proof.parity.ratio)


def _verdict(card: ModelCard) -> str:
    if card.passed:
        return "Reopened in a fresh process, it computes what the reference computes."
    return "**It FAILED its check: reopened in a fresh process, it computes something else. Do not use it.**"


def _facts(card: ModelCard) -> list[list[str]]:
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    facts = {
        "score": f"{score(card) or 'none'} (over the whole evaluation split, of the reopened files)",
        "target": _target(card.target),
        "baseline": _target(card.baseline),
        "task": f"{card.task}, version {card.task_version}: {card.family}; {card.source}",
        "licence": card.licence,
        "model": f"{card.model.architecture} {card.model.config}",
        "weights": f"{card.weights}, sha256 {card.weights_hash}",
        "precision": card.cell.precision,
        "exported": f"{card.exported} by {card.backend}",
        "made with": versions,
        "size": weight(card.size_bytes),
    }
    return [[name, escape(value)] for name, value in facts.items()]


def _target(target: Target) -> str:
    return f"{target.metric} {number(target.value)}, {'more' if target.higher_is_better else 'less'} is better"


def _ports(card: ModelCard) -> list[list[str]]:
    return [*_lines("input", card.inputs), *_lines("output", card.outputs)]


def _lines(kind: str, ports: Iterable[Port]) -> list[list[str]]:
    return [[kind, escape(port.name), escape(port.dtype), _sizes(port)] for port in ports]


def _sizes(port: Port) -> str:
    return " × ".join("any" if each is None else str(each) for each in port.sizes)


def _generation(card: ModelCard) -> str:
    return "The forward pass alone: the loop around it that generates is not part of it." if card.generates else ""


def _proof(proof: Proof) -> list[str]:
    same = proof.parity.decisions_equal
    return [str(proof.rows), error(proof), number(proof.parity.limit), "" if same is None else f"{same:.2%}"]


def _data(card: ModelCard) -> list[list[str]]:
    return [[escape(each.name), escape(each.version), escape(each.licence), escape(each.source)] for each in card.data]


def _files(card: ModelCard) -> list[list[str]]:
    return [[escape(name), weight(file.size_bytes), file.sha256] for name, file in card.files.items()]


def _code(text: str) -> str:
    """Indented by four, which no text can end; a fence could be closed from inside."""
    return "\n".join(f"    {on_one_line(line)}" for line in text.splitlines())
