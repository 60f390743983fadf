"""Accuracies that others published for ways of fine-tuning a classifier, to be read next to ours.

They were measured on 300 messages of the SMS Spam Collection, half of them spam, with one seed and
a GPT-2 of 124M parameters: their 95 % intervals are 3 to 10 points wide, and equal messages may be
in both parts. None of them was run here.

References:
    Raschka, LLMs-from-scratch, ch06/02_bonus_additional-experiments, rows 1, 2, 3, 4, 9, 10, 12.
"""

PUBLISHED = {
    "head": 0.72,
    "last-block": 0.9833,
    "first-token": 0.75,
    "padded": 0.95,
    "padded-context": 0.7833,
    "all": 0.9667,
    "lora": 0.9767,
}
"""Accuracy of each row of ``gptflow classify-table``."""
