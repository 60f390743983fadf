"""Follow one text through one model: every chapter's numbers, in one report."""

from collections.abc import Callable
from pathlib import Path

from gpt_core.artifact import REPORT, Artifact, new_artifact
from gpt_core.chapters.layers import (
    show_attention,
    show_embeddings,
    show_neurons,
    show_norms,
)
from gpt_core.chapters.predictions import show_decoding, show_lens, show_stream
from gpt_core.chapters.subject import Subject, open_subject
from gpt_core.chapters.text_stages import Values, show_cleaning, show_tokens, show_windows
from gpt_core.chapters.weights import (
    show_classification,
    show_instruction,
    show_low_rank,
    show_names,
    show_skeleton,
    show_training,
)
from gpt_core.config import AnatomyConfig, CleaningConfig
from gpt_core.files import Progress, write_json

PAGE = "anatomy.html"
"""The page in the report's directory."""


def dissect(
    checkpoint: Artifact,
    config: AnatomyConfig,
    cleaning: CleaningConfig,
    out_dir: Path,
    *,
    render: Callable[[Values], str] | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Follow a text through the model of a checkpoint.

    Args:
        checkpoint: A checkpoint of any kind.
        config: The text.
        cleaning: The rules that clean it.
        out_dir: Directory of the report.
        render: Makes a page from the report's content.
        progress: Called with ``chapters``.

    Returns:
        A report with the numbers of every chapter and, if there is a ``render``, the page.

    Raises:
        CheckpointError: If the checkpoint is incomplete or damaged.
        DataError: If the text is empty, too long, or not in the tokenizer's vocabulary.
    """
    subject = open_subject(checkpoint.directory, config.text, cleaning)
    content = {"about": _about(subject), "chapters": show_all(subject, config, progress)}
    parents = [checkpoint]
    with new_artifact(out_dir, kind="report", config=(config, cleaning), parents=parents) as draft:
        write_json(draft.directory / REPORT, content)
        if render is not None:
            (draft.directory / PAGE).write_text(render(content), encoding="utf-8")
        draft.info["report"] = "anatomy"
        draft.metrics["tokens"] = float(len(subject.sentence.token_ids))
    return draft.artifact


def show_all(
    subject: Subject, config: AnatomyConfig, progress: Progress | None = None
) -> dict[str, Values]:
    """The numbers of every chapter that fits the model, by the chapter's name."""
    chapters: dict[str, Callable[[], Values | None]] = {
        "cleaning": lambda: show_cleaning(subject),
        "tokens": lambda: show_tokens(subject),
        "windows": lambda: show_windows(subject),
        "embeddings": lambda: show_embeddings(subject),
        "attention": lambda: show_attention(subject),
        "skeleton": lambda: show_skeleton(subject),
        "norms": lambda: show_norms(subject),
        "neurons": lambda: show_neurons(subject),
        "stream": lambda: show_stream(subject),
        "lens": lambda: show_lens(subject) if subject.speaks else None,
        "training": lambda: show_training(subject),
        "decoding": lambda: show_decoding(subject, config.new_tokens) if subject.speaks else None,
        "names": lambda: show_names(subject),
        "classification": lambda: show_classification(subject),
        "instruction": lambda: show_instruction(subject),
        "low_rank": lambda: show_low_rank(subject),
    }
    found: dict[str, Values] = {}
    for done, (name, show) in enumerate(chapters.items()):
        if progress is not None:
            progress("chapters", done, len(chapters))
        values = show()
        if values is not None:
            found[name] = values
    return found


def _about(subject: Subject) -> Values:
    description = subject.description
    return {
        "checkpoint": subject.checkpoint.name,
        "run": subject.checkpoint.parent.name,
        "kind": description.kind,
        "step": description.step,
        "text": subject.sentence.raw,
        "tokens": len(subject.sentence.token_ids),
        "names": list(subject.sentence.names),
    }
