"""Fine-tune a trained model: classification and instruction following, fully or with adapters."""

from gpt_core.finetuning.classification import finetune_classifier
from gpt_core.finetuning.instruction import finetune_instructions
from gpt_core.finetuning.scoring import evaluate_classifier, evaluate_instructions

__all__ = [
    "evaluate_classifier",
    "evaluate_instructions",
    "finetune_classifier",
    "finetune_instructions",
]
