"""Features of an image tower and of a text tower side by side, and a head."""

from __future__ import annotations

from tests.parity.case import case_of
from tests.parity.cases.dual_encoder import GAP, GREY, RESNET, TEXT, VIT, both

NAME = "image_text_classifier"
CASES = {
    "image-text": case_of(NAME, both((43, 38, 3), 7, 11), image=RESNET, text=TEXT, hidden=45, num_classes=5),
    "image-text-grey": case_of(NAME, both((29, 45, 1), 5, 9), image=GREY, text=TEXT, hidden=20, num_classes=3),
    "image-text-vit": case_of(NAME, both((27, 45, 3), 6, 13), image=VIT, text=TEXT, hidden=70, num_classes=8),
    "image-text-gap": case_of(NAME, both((33, 24, 3), 3, 5), image=GAP, text=TEXT, hidden=31, num_classes=2),
}
