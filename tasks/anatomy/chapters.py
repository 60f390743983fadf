"""The chapters in their order: title, prose and the source that each is about.

The prose of a chapter is ``prose/NAME.md``, its picture ``draw.NAME`` of the page's scripts, the
cells of its notebook ``cells/NAME.txt``, and its numbers are those of ``show_NAME``.
"""

from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter of the page, and a notebook."""

    name: str
    """The key of its numbers in the report."""

    title: str

    sources: tuple[str, ...]
    """Functions and classes of the core, as ``module:name`` or ``module:Class.method``."""

    @property
    def prose(self) -> str:
        """The explanation for a beginner, in Markdown."""
        return (_FOLDER / "prose" / f"{self.name}.md").read_text(encoding="utf-8").strip()

    @property
    def cells(self) -> str:
        """The code of its notebook, its cells separated by ``# %%``."""
        return (_FOLDER / "cells" / f"{self.name}.txt").read_text(encoding="utf-8").strip()


CHAPTERS = (
    Chapter(
        "cleaning",
        "Cleaning",
        ("gpt_core.text.rules:Rule", "gpt_core.text.cleaning:Cleaner.clean"),
    ),
    Chapter(
        "tokens",
        "Tokens",
        (
            "gpt_core.tokenizers.bpe:merge_pair",
            "gpt_core.anatomy.segmentation:merge_steps",
            "gpt_core.anatomy.segmentation:most_probable_path",
        ),
    ),
    Chapter("windows", "Windows", ("gpt_core.data.windows:SlidingWindowDataset",)),
    Chapter(
        "embeddings",
        "Embeddings",
        ("gpt_core.models.layers:Embedding", "gpt_core.anatomy.embeddings:nearest_tokens"),
    ),
    Chapter(
        "attention",
        "Attention",
        (
            "gpt_core.models.attention:explicit_attention",
            "gpt_core.models.attention:causal_mask",
            "gpt_core.anatomy.heads:HeadScores",
        ),
    ),
    Chapter("skeleton", "The skeleton", ("gpt_core.models.factory:count_parameters",)),
    Chapter("norms", "Layer normalization", ("gpt_core.models.layers:LayerNorm",)),
    Chapter(
        "neurons",
        "Neurons",
        ("gpt_core.models.layers:GELU", "gpt_core.models.layers:FeedForward"),
    ),
    Chapter(
        "stream",
        "The residual stream",
        (
            "gpt_core.models.block:TransformerBlock",
            "gpt_core.anatomy.contributions:logit_contributions",
        ),
    ),
    Chapter(
        "lens",
        "The whole model",
        ("gpt_core.models.gpt:GPT.hidden", "gpt_core.anatomy.lens:lens_logits"),
    ),
    Chapter(
        "training",
        "Training",
        (
            "gpt_core.models.loss:next_token_loss",
            "gpt_core.optim.schedule:learning_rate_at",
            "gpt_core.anatomy.gradients:gradient_norms",
        ),
    ),
    Chapter(
        "decoding",
        "Decoding",
        (
            "gpt_core.generation.logits:apply_temperature",
            "gpt_core.generation.logits:keep_top_k",
            "gpt_core.generation.logits:keep_top_p",
            "gpt_core.generation.beams:beam_search",
        ),
    ),
    Chapter("names", "GPT-2's weights", ("gpt_core.interop.gpt2_names:tensor_names",)),
    Chapter(
        "classification",
        "Classification",
        ("gpt_core.models.classifier:GPTClassifier", "gpt_core.anatomy.occlusion:occlude"),
    ),
    Chapter("instruction", "Instructions", ("gpt_core.data.instruction:encode_example",)),
    Chapter("low_rank", "LoRA", ("gpt_core.anatomy.low_rank:low_rank_updates",)),
)
"""Every chapter; those of another kind of checkpoint are left out of a page."""
