"""The model card of a release: shape, metrics and provenance from the checkpoint's manifest."""

from gpt_core.artifact import Artifact, is_timing
from gpt_core.checkpoints import read_description
from gpt_core.config import GPTConfig
from gpt_core.config.patterns import NAMED_PATTERNS
from gpt_core.interop.oniguruma import lines_cut_otherwise
from gpt_core.models import count_parameters
from gpt_core.tokenizers import (
    SENTENCEPIECE_SPACE,
    BPETokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    UnigramTokenizer,
)


def model_card(checkpoint: Artifact, config: GPTConfig, tokenizer: Tokenizer) -> str:
    """Write a release's README in Markdown, with the header that model hubs read.

    Args:
        checkpoint: The checkpoint that is released.
        config: Shape of the model.
        tokenizer: The model's tokenizer.
    """
    manifest = checkpoint.manifest()
    kind = read_description(checkpoint.directory).kind
    shape = {
        "parameters": f"{count_parameters(config):,}",
        "layers": config.n_layer,
        "heads": config.n_head,
        "width": config.n_embd,
        "context": f"{config.context_length:,} tokens",
        "vocabulary": f"{config.vocab_size:,} tokens ({tokenizer.kind})",
    }
    lasting = {name: value for name, value in manifest.metrics.items() if not is_timing(name)}
    metrics = {name: f"{value:,.6g}" for name, value in lasting.items()}
    parents = [f"- `{name}`, fingerprint `{mark}`" for name, mark in manifest.parents.items()]
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "pipeline_tag: text-generation",
            "tags: [gpt2, gptflow]",
            "---",
            "",
            "# A GPT of the GPT-2 architecture",
            "",
            f"Written by gptflow from the {kind} checkpoint `{checkpoint.directory.name}`, "
            f"fingerprint `{checkpoint.fingerprint}`.",
            "",
            *_table("shape", shape),
            *(_table("metric", metrics) if metrics else ()),
            *(["Made from:", "", *parents, ""] if parents else ()),
            "```python",
            "from transformers import AutoTokenizer, GPT2LMHeadModel",
            "",
            'model = GPT2LMHeadModel.from_pretrained("this-directory")',
            'tokenizer = AutoTokenizer.from_pretrained("this-directory")',
            "```",
            "",
            *_differences(tokenizer),
        ]
    )


def _differences(tokenizer: Tokenizer) -> list[str]:
    """The texts that ``AutoTokenizer`` encodes to other ids than gptflow does."""
    others = ["the spelling of a special token in `tokenizer_config.json`"]
    if isinstance(tokenizer, SentencePieceTokenizer):
        others.append(f"U+2581 (`{SENTENCEPIECE_SPACE}`), which it reads as a space")
    if isinstance(tokenizer, UnigramTokenizer):
        others.append("the spelling of a byte, such as `<0x41>`, which it reads as that byte")
    if isinstance(tokenizer, BPETokenizer) and tokenizer.pattern not in NAMED_PATTERNS:
        lines = lines_cut_otherwise(tokenizer.pattern)
        if lines is None:
            others.append("maybe texts that it cuts otherwise by `tokenizer.pattern`: not compared")
        elif lines:
            others.append(
                f"texts that it cuts otherwise by `tokenizer.pattern`, such as {lines[0]!r}"
            )
    return [
        "To gptflow every text is plain text. `AutoTokenizer` gives other ids to "
        f"{'; to '.join(others)}. For all other texts the ids are equal.",
        "",
    ]


def _table(name: str, rows: dict[str, object] | dict[str, str]) -> list[str]:
    lines = [f"| {label} | {value} |" for label, value in rows.items()]
    return [f"| {name} | |", "|---|---|", *lines, ""]
