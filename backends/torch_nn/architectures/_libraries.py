"""The libraries of towers, as one module, so that their import is timed as an import and not as a build."""

import timm
from transformers.models.bert import modeling_bert

__all__ = ["modeling_bert", "timm"]
