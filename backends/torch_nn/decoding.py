"""Greedy decoding by transformers' own `generate`, which is what people run; its result as every backend gives it.

Shapes: B rows, N new tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any


class Following:
    """A processor of logits, as transformers calls it at every step, under which only the given token can be taken."""

    def __init__(self, tokens_BN: Any, prompt: int) -> None:
        self.tokens_BN, self.prompt = tokens_BN, prompt

    def __call__(self, input_ids: Any, scores_BV: Any) -> Any:
        """Every other score is lost, in a tensor of its own."""
        token_B1 = self.tokens_BN[:, input_ids.shape[1] - self.prompt, None]
        return scores_BV.new_full(scores_BV.shape, -float("inf")).scatter(1, token_B1, 0.0)


def greedy(module: Any, x: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Tokens (B, N) and the logit of each (B, N), which parity goes by.

    Logits are kept as the model gave them: what is followed changes only which token is taken.
    """
    import torch

    prompt = x["input_ids"].shape[1]
    followed = {"logits_processor": [Following(x["follow"], prompt)]} if "follow" in x else {}
    y = module.generate(
        x["input_ids"],
        attention_mask=torch.ones_like(x["input_ids"]),
        max_new_tokens=x["new_tokens"],
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
        **followed,
        **options,
    )
    taken_BN = y.sequences[:, prompt:]
    logits_BNV = torch.stack(y.logits, 1)
    tokens_BN = logits_BNV.argmax(2) if followed else taken_BN
    return {"tokens": tokens_BN, "logit": logits_BNV.gather(2, taken_BN[:, :, None])[:, :, 0]}


def kept_heads(config: Any) -> tuple[int, int]:
    """Heads whose keys and values a cache holds, and the size of each; GPT-2 names neither."""
    told = config.to_dict()
    heads = told.get("num_key_value_heads") or config.num_attention_heads
    return heads, told.get("head_dim") or config.hidden_size // config.num_attention_heads
