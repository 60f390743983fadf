"""Small checkpoints for tests of records: of files alone, or with weights that compute a loss."""

from functools import partial
from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact, to_json_value
from gpt_core.checkpoints import CONFIG, CheckpointDescription, CheckpointKind
from gpt_core.config import GPTConfig
from gpt_core.files import write_json

SHAPE = GPTConfig(n_layer=1, n_head=1, n_embd=8, context_length=8, vocab_size=16)


def write_checkpoint(
    directory: Path,
    *,
    kind: CheckpointKind = "pretrained",
    labels: tuple[str, ...] | None = None,
    config: object = None,
    files: tuple[str, ...] = ("model.safetensors", "training_state.pt"),
    **metrics: float,
) -> Artifact:
    """Write a checkpoint with its description.

    Args:
        directory: Where.
        kind: Its kind.
        labels: The labels of a classifier.
        config: The settings in its manifest.
        files: Files beside the description, each with its own name and place as content.
        metrics: Its metrics.
    """
    template = "alpaca" if kind == "instruction" else None
    description = CheckpointDescription(
        kind=kind, step=4, model=SHAPE, labels=labels, template=template
    )
    with new_artifact(directory, kind="checkpoint", config=config) as draft:
        for name in files:
            (draft.directory / name).parent.mkdir(exist_ok=True)
            (draft.directory / name).write_text(f"{name} of {directory.name}")
        write_json(draft.directory / CONFIG, to_json_value(description))
        draft.metrics.update(metrics)
    return draft.artifact


def pretrained(home: Path, name: str, loss: float = 2.5) -> Artifact:
    """Write a language model among a home's checkpoints."""
    return write_checkpoint(home / "data" / "checkpoints" / name, validation_loss=loss)


def prepare_shards(home: Path, text: Path) -> Artifact:
    """Clean a text and encode its bytes, in a home's folders."""
    from gpt_core import data as encoding
    from gpt_core.config import CleaningConfig, ReadingConfig, ShardConfig, TokenizerConfig
    from gpt_core.text import clean_corpus, register_source
    from gpt_core.tokenizers import train_tokenizer

    data = home / "data"
    raw = register_source(text, data / "raw" / "text")
    corpus = clean_corpus(raw, ReadingConfig(), CleaningConfig(), data / "corpora" / "text")
    byte = TokenizerConfig(kind="byte", vocab_size=None)
    tokenizer = train_tokenizer(corpus, byte, data / "tokenizers" / "text")
    return encoding.encode_corpus(corpus, tokenizer, ShardConfig(), data / "shards" / "text")


def language_model(home: Path, shards: Artifact, name: str, scale: float) -> Artifact:
    """Write an untrained model, as if it was pretrained on the shards.

    Args:
        home: Where.
        shards: The shards, in the same home.
        name: The directory's name.
        scale: Multiplies the embeddings: the larger, the worse is the model.
    """
    import torch

    from gpt_core.checkpoints import write_checkpoint as write_files
    from gpt_core.models import build_model, save_weights
    from gpt_core.tokenizers import load_tokenizer

    shape = GPTConfig(n_layer=1, n_head=1, n_embd=16, context_length=48, vocab_size=257)
    model = build_model(shape, seed=5)
    with torch.no_grad():
        model.wte.weight.mul_(scale)
    directory = home / "data" / "checkpoints" / name
    with new_artifact(directory, kind="checkpoint", config=scale, parents=[shards]) as draft:
        write_files(
            draft,
            CheckpointDescription(kind="pretrained", step=4, model=shape),
            save_weights=partial(save_weights, model),
            save_tokenizer=load_tokenizer(shards.directory / "tokenizer").save,
        )
        draft.metrics["validation_loss"] = 5.0 + scale
    return draft.artifact


def byte_model(directory: Path, seed: int, template: str | None = None) -> Artifact:
    """A model of bytes with random weights, and room for a short prompt; maybe with a template."""
    from gpt_core.checkpoints import write_checkpoint as write_files
    from gpt_core.models import build_model, save_weights
    from gpt_core.tokenizers import ByteTokenizer

    shape = GPTConfig(n_layer=1, n_head=2, n_embd=32, context_length=96, vocab_size=257)
    with new_artifact(directory, kind="checkpoint") as draft:
        write_files(
            draft,
            CheckpointDescription(
                kind="instruction" if template else "imported",
                step=0,
                model=shape,
                template=template,
            ),
            save_weights=partial(save_weights, build_model(shape, seed=seed)),
            save_tokenizer=ByteTokenizer().save,
        )
    return draft.artifact


def byte_classifier(directory: Path, labels: tuple[str, ...] = ("ham", "spam")) -> Artifact:
    """A classifier of bytes with random weights, which reads long texts in windows."""
    import torch

    from gpt_core.checkpoints import write_checkpoint as write_files
    from gpt_core.models import GPTClassifier, build_model, save_weights
    from gpt_core.tokenizers import ByteTokenizer

    shape = GPTConfig(n_layer=1, n_head=2, n_embd=16, context_length=32, vocab_size=257)
    description = CheckpointDescription(
        kind="classifier", step=1, model=shape, labels=labels, windows=True, max_tokens=32
    )
    with torch.random.fork_rng(), new_artifact(directory, kind="checkpoint") as draft:
        torch.manual_seed(3)
        model = GPTClassifier(build_model(shape, seed=5), len(labels))
        torch.nn.init.normal_(model.score.weight, std=2.0)
        write_files(
            draft,
            description,
            save_weights=partial(save_weights, model),
            save_tokenizer=ByteTokenizer().save,
        )
        draft.metrics["test_accuracy"] = 0.5
    return draft.artifact


def byte_adapter(
    directory: Path,
    base: Artifact,
    template: str | None = None,
    labels: tuple[str, ...] | None = None,
) -> Path:
    """An adapter with random weights for a model of bytes: a follower's or a classifier's."""
    import torch

    from gpt_core.checkpoints import read_description
    from gpt_core.config import LoRAConfig
    from gpt_core.finetuning.lora import add_adapters, merge_adapters
    from gpt_core.models import (
        GPT,
        AdapterDescription,
        GPTClassifier,
        load_model,
        weights_fingerprint,
        write_adapter,
    )

    model: GPT | GPTClassifier = load_model(base.directory)
    if labels is not None:
        model = GPTClassifier(model, len(labels))
    adapted = add_adapters(model, LoRAConfig(rank=2), [0], ("score",) if labels else ())
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator))
    adapter = merge_adapters(adapted)[1]
    assert adapter is not None
    description = CheckpointDescription(
        kind="classifier" if labels else "instruction",
        step=1,
        model=read_description(base.directory).model,
        labels=labels,
        template=template,
    )
    described = AdapterDescription(base=weights_fingerprint(base), checkpoint=description)
    write_adapter(directory, adapter.settings, adapter.tensors, described)
    return directory
