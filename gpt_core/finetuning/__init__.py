"""Fine-tune a trained model: classification, instructions, preferences; fully or with adapters."""

from gpt_core.finetuning.adapters import base_of, describe_adapter, merge_adapter
from gpt_core.finetuning.classification import finetune_classifier
from gpt_core.finetuning.instruction import finetune_instructions
from gpt_core.finetuning.preferences import finetune_preferences
from gpt_core.finetuning.scoring import evaluate_classifier, evaluate_instructions

__all__ = [
    "base_of",
    "describe_adapter",
    "evaluate_classifier",
    "evaluate_instructions",
    "finetune_classifier",
    "finetune_instructions",
    "finetune_preferences",
    "merge_adapter",
]
