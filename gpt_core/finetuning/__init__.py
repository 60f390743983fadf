"""A trained model adapted: to classes, to instructions, wholly or by low-rank adapters."""

from gpt_core.finetuning.classification import finetune_classifier
from gpt_core.finetuning.instruction import finetune_instructions

__all__ = ["finetune_classifier", "finetune_instructions"]
