"""Losses by the names that tasks give them: (outputs, targets) of a batch to a mean over its rows.

Shapes: B rows, C classes, M members of an ensemble, D width of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Tensors = dict[str, Tensor]
Loss = Callable[[Tensors, Tensors], Tensor]


def cross_entropy(outputs: Tensors, targets: Tensors) -> Tensor:
    """`logits` (B, C) against `label` (B,)."""
    return functional.cross_entropy(outputs["logits"], targets["label"].long())


def mse(outputs: Tensors, targets: Tensors) -> Tensor:
    """`prediction` against `target` of the same shape."""
    return functional.mse_loss(outputs["prediction"], targets["target"])


def gaussian_nll(outputs: Tensors, targets: Tensors) -> Tensor:
    """`mean` and `variance` (B, M) against `target` (B,): each member by itself, as deep ensembles are trained.

    Source: Lakshminarayanan, Pritzel & Blundell, Deep Ensembles, NeurIPS 2017, equation 1.
    """
    target_BM = targets["target"][:, None].expand_as(outputs["mean"])
    return functional.gaussian_nll_loss(outputs["mean"], target_BM, outputs["variance"])


def contrastive(outputs: Tensors, targets: Tensors) -> Tensor:
    """`image` and `text` (B, D) of length 1, `scale` (B,) the same in every row: each row's pair among the batch.

    Source: Radford et al., CLIP, ICML 2021, figure 3.
    """
    logits_BB = outputs["scale"][:, None] * (outputs["image"] @ outputs["text"].T)
    own_B = torch.arange(len(logits_BB), device=logits_BB.device)
    return (functional.cross_entropy(logits_BB, own_B) + functional.cross_entropy(logits_BB.T, own_B)) / 2


def in_batch_softmax(outputs: Tensors, targets: Tensors) -> Tensor:
    """`query` and `item` (B, D): each query's item among those of the batch, freed of how often items are drawn.

    `log_frequency` (B,) is that of each row's item; equal `item_id` (B,) of other rows are no negatives.
    Source: Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations, RecSys 2019.
    """
    logits_BB = outputs["query"] @ outputs["item"].T - targets["log_frequency"][None, :]
    own_B = torch.arange(len(logits_BB), device=logits_BB.device)
    same_BB = targets["item_id"][:, None] == targets["item_id"][None, :]
    again_BB = same_BB & (own_B[:, None] != own_B[None, :])
    return functional.cross_entropy(logits_BB.masked_fill(again_BB, -float("inf")), own_B)


LOSSES: dict[str, Loss] = {
    each.__name__: each for each in (cross_entropy, mse, gaussian_nll, contrastive, in_batch_softmax)
}
