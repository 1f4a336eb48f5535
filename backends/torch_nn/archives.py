"""Files of `torch.export.save` that are opened without unpickling anything or running what they say.

`torch.export.load` unpickles whatever a file declares as pickled, falls back to an older form that is, and hands
expressions of sizes to sympy, which evaluates them. So a file is written with nothing pickled in it, and before one is
opened, its records are held against what such a file holds, read by the reader that loads them.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.pt2_archive._package import PT2ArchiveReader, load_pt2

from weighbridge.bench.core import WeighbridgeError

WEIGHTS, CONSTANTS = "data/weights/model_weights_config.json", "data/constants/model_constants_config.json"
PROGRAM, SAMPLES = "models/model.json", "data/sample_inputs/model.pt"
RECORD = re.compile(
    r"data/weights/weight_\d+|data/constants/tensor_\d+|archive_format|archive_version|byteorder|\.data/\w+"
)
PAYLOAD = re.compile(r"(weight|tensor)_\d+")
OPERATOR = re.compile(
    r"torch\.ops\.aten\.(?!from_file\b)\w+\.\w+|torch\.sym_\w+|math\.\w+"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|not_)"
)
CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict"}
SIZES = {
    "Symbol", "Integer", "Rational", "Add", "Mul", "Pow", "Mod", "PythonMod", "FloorDiv", "CleanDiv", "CeilDiv", "Max",
    "Min", "Equality", "Unequality", "GreaterThan", "LessThan", "StrictGreaterThan", "StrictLessThan",
    "ModularIndexing", "Where",
}  # fmt: skip
"""What an expression of sizes may call."""
SYMBOL = re.compile(r"[su]\d+")
PARTS = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.operator,
    ast.unaryop, ast.Compare, ast.cmpop,
)  # fmt: skip


def save(program: ExportedProgram, file: Path) -> None:
    """Writes a program, without the batch that it was traced with, which would be pickled."""
    program.example_inputs = None
    torch.export.save(program, file)
    _refuse(file)  # a tensor of another class would have been pickled


def load(file: Path) -> ExportedProgram:
    """Reads what `save` wrote; raises WeighbridgeError where a file holds more than that."""
    _refuse(file)
    return load_pt2(str(file)).exported_programs["model"]


def _refuse(file: Path) -> None:
    try:
        strange = next(_strange(PT2ArchiveReader(str(file))), None)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeighbridgeError(f"{file} is no file of torch.export: {str(error).splitlines()[0][:200]}") from error
    if strange:
        raise WeighbridgeError(f"{file} is not opened: it holds {strange[:200]}, which could run code")


def _strange(archive: Any) -> Iterator[str]:
    """What of an archive is not what `save` writes."""
    names = set(archive.get_file_names())
    yield from (name for name in names - {WEIGHTS, CONSTANTS, PROGRAM, SAMPLES} if not RECORD.fullmatch(name))
    if len(archive.read_bytes(SAMPLES)):
        yield "pickled inputs"
    for config in (WEIGHTS, CONSTANTS):
        for name, each in json.loads(archive.read_string(config))["config"].items():
            if each["use_pickle"] is not False or not PAYLOAD.fullmatch(each["path_name"]):
                yield f"a pickled {name}"
    yield from _strange_in(json.loads(archive.read_string(PROGRAM)))


def _strange_in(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _strange_in(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == "target" and isinstance(each, str) and not OPERATOR.fullmatch(each):
                yield f"a call of {each}"
            if key == "expr_str" and not _is_size(each):
                yield f"an expression {each!r}"
            if key in ("in_spec", "out_spec") and isinstance(each, str) and not _is_plain(json.loads(each)[1]):
                yield f"the structure {each}"
            yield from _strange_in(each)


def _is_size(text: str) -> bool:
    """Whether an expression of sizes calls nothing but arithmetic: sympy evaluates whatever stands there."""
    try:
        parts = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError):
        return False
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    called = [part.func for part in parts if isinstance(part, ast.Call)]
    values = [part.value for part in parts if isinstance(part, ast.Constant)]
    return (
        all(isinstance(part, PARTS) for part in parts)
        and all(isinstance(each, ast.Name) and each.id in SIZES for each in called)
        and all(name in SIZES or SYMBOL.fullmatch(name) for name in names)
        and all(SYMBOL.fullmatch(value) if isinstance(value, str) else isinstance(value, int) for value in values)
    )


def _is_plain(spec: Any) -> bool:
    return spec["type"] in CONTAINERS and all(map(_is_plain, spec["children_spec"]))
