"""Anatomy: what a model computes for one text, as plain numbers that can be looked at and checked.

Pure functions of a model and ids. Recording a forward pass runs the model's own modules one after
the other, so a model that is not looked at is neither changed nor slowed.
"""

from gpt_core.anatomy.cleaning import Change, RuleStep, cleaning_steps
from gpt_core.anatomy.contributions import Contribution, logit_contributions
from gpt_core.anatomy.embeddings import flatten, nearest_tokens
from gpt_core.anatomy.gradients import gradient_norms
from gpt_core.anatomy.heads import HeadScores, score_heads
from gpt_core.anatomy.lens import Prediction, lens_logits, logit_lens, most_likely
from gpt_core.anatomy.low_rank import LowRankUpdate, low_rank_updates
from gpt_core.anatomy.occlusion import occlude
from gpt_core.anatomy.recording import BlockRecording, Recording, record
from gpt_core.anatomy.segmentation import Merging, Step, merge_steps, most_probable_path

__all__ = [
    "BlockRecording",
    "Change",
    "Contribution",
    "HeadScores",
    "LowRankUpdate",
    "Merging",
    "Prediction",
    "Recording",
    "RuleStep",
    "Step",
    "cleaning_steps",
    "flatten",
    "gradient_norms",
    "lens_logits",
    "logit_contributions",
    "logit_lens",
    "low_rank_updates",
    "merge_steps",
    "most_likely",
    "most_probable_path",
    "nearest_tokens",
    "occlude",
    "record",
    "score_heads",
]
