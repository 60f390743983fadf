"""Checks that settings, texts, models and this machine fit each other, before anything starts."""

from flows.declarations import Flow
from gpt_core.checkpoints import TOKENIZER, read_description
from gpt_core.config import GPTConfig, RunConfig, TokenizerConfig
from gpt_core.errors import CheckpointError, ConfigError, DataError
from gpt_core.object_paths import Location
from gpt_core.text import TextProbe, probe_texts, read_instruction_splits
from tasks.paths import expand_path
from tasks.reads import Given, Source, named_checkpoint
from tasks.sources import present_examples, present_file, present_local_file

_WITHOUT_GPU = ("auto", "cpu")


def check_texts(flow: Flow, config: RunConfig) -> None:
    """Read the beginning of the text, and split it if it is small.

    Raises:
        DataError: If a file cannot be read, or too little text is left to train or evaluate on.
    """
    sections = flow.sections_used(config)
    if "reading" not in sections:  # the text of a benchmark is another one
        return
    split = config.evaluation.split
    if {"evaluation", "shards"} <= {*sections} and getattr(config.cleaning, f"{split}_share") == 0:
        raise ConfigError(
            f"cleaning.{split}_share=0 leaves nothing to evaluate on, as evaluation.split={split} "
            "says: raise it, or set evaluation.split"
        )
    for read in flow.all_reads(config):
        file = present_file(read) if isinstance(read, Source) and read.role == "text" else None
        probe = file and probe_texts(file, config.reading, config.cleaning)
        if file and probe:
            _check_splits(sections, config, file, probe)


def _check_splits(
    sections: tuple[str, ...], config: RunConfig, file: Location, probe: TextProbe
) -> None:
    n_train, split = probe.documents["train"], config.evaluation.split
    if n_train == 0:
        held_out = f"{probe.documents['validation']} for validation, {probe.documents['test']}"
        raise DataError(
            f"{file} leaves no document to train on: after cleaning there are {held_out} for the "
            "test: give more documents, set reading.split, or lower cleaning.validation_share"
        )
    n_tokens, context = probe.sizes["train"] + n_train, config.model.context_length
    if "model" in sections and n_tokens <= context:
        raise DataError(
            f"{file} has at most {n_tokens} tokens to train on, but model.context_length={context} "
            f"needs {context + 1}: give more text or lower model.context_length"
        )
    if "evaluation" in sections and "shards" in sections and probe.documents[split] == 0:
        raise DataError(
            f"no document of {file} falls into the {split} part, of {probe.documents.total()} in "
            f"all: give more documents, set reading.split or raise cleaning.{split}_share"
        )


def check_models(flow: Flow, config: RunConfig) -> None:
    """Check that given checkpoints are language models, and that the settings fit the model.

    Raises:
        CheckpointError: If a checkpoint is a classifier, or is damaged.
        ConfigError: Naming the setting that is too large for the model.
    """
    for read in flow.all_reads(config):
        if isinstance(read, Given) and read.kind == "checkpoint":
            description = read_description(read.read().directory)
            if description.kind == "classifier" and not flow.reads_classifiers:
                raise CheckpointError(
                    f"{read.directory} is a classifier, but a language model is needed"
                )
            if flow.makes_checkpoint:
                _check_shape(flow, config, description.model)
    if flow.makes_checkpoint and config.checkpoint is None:
        _check_shape(flow, config, config.model)


def _check_shape(flow: Flow, config: RunConfig, model: GPTConfig) -> None:
    sections = flow.sections_used(config)
    blocks, rank = config.classification.trainable_blocks, config.lora.rank
    if "classification" in sections and blocks is not None and blocks > model.n_layer:
        raise ConfigError(
            f"classification.trainable_blocks is {blocks}, but the model has {model.n_layer} blocks"
        )
    pad_to = config.classification.pad_to
    if "classification" in sections and pad_to is not None and pad_to > model.context_length:
        raise ConfigError(
            f"classification.pad_to is {pad_to}, but the model's context has "
            f"{model.context_length} tokens"
        )
    if "lora" in sections and rank > model.n_embd:
        raise ConfigError(
            f"lora.rank is {rank}, but the model's matrices are {model.n_embd} wide: "
            "take a rank far below that, such as 8"
        )


def check_sentence(flow: Flow, config: RunConfig) -> None:
    """Clean and encode the sentence of an anatomy, which fails for one that the model cannot read.

    Raises:
        CheckpointError: If the checkpoint is damaged.
        DataError: If nothing is left of it, it is too long, or has characters without a token.
    """
    if "anatomy" not in flow.sections:
        return
    from gpt_core.chapters import read_sentence  # imports torch

    checkpoint = named_checkpoint(config.checkpoint).read()
    read_sentence(checkpoint.directory, config.anatomy.text, config.cleaning)


def check_prompts(flow: Flow, config: RunConfig) -> None:
    """Encode the instructions where the tokenizer is there already, to see whether any fits.

    Raises:
        DataError: If no example for training fits into the context.
    """
    given = config.checkpoint not in (None, "gpt2")
    is_byte = config.checkpoint is None and config.tokenizer.kind == "byte"
    files = present_examples(config.instruction, "instruction")
    if "instruction" not in flow.sections_used(config) or files is None or not given | is_byte:
        return
    from gpt_core.callbacks import Callback
    from gpt_core.finetuning.example_encoder import ExampleEncoder  # imports torch
    from gpt_core.tokenizers import ByteTokenizer, Tokenizer, load_tokenizer

    tokenizer: Tokenizer = ByteTokenizer()
    context = config.model.context_length
    if given:
        folder = Given(str(config.checkpoint), "checkpoint").read().directory
        tokenizer = load_tokenizer(folder / TOKENIZER)
        context = read_description(folder).model.context_length
    splits, _ = read_instruction_splits(files[0], config.instruction, files[1])
    ExampleEncoder(tokenizer, config.instruction, context, Callback()).encode(splits.train, "train")


def check_tokenizers(flow: Flow, config: RunConfig) -> None:
    """Check GPT-2's vocabulary where a flow uses it.

    Raises:
        ConfigError: If no folder is set.
        DataError: If its files are missing or damaged.
    """
    sections = flow.sections_used(config)
    used: list[object] = [config.tokenizer] if "tokenizer" in sections else []
    if "comparison" in sections:
        used = list(config.comparison.candidates(config.tokenizer).values())
    for each in used:
        if isinstance(each, TokenizerConfig) and each.kind == "gpt2":
            from gpt_core.tokenizers import GPT2Tokenizer

            if each.directory is None:
                raise ConfigError(
                    "tokenizer.directory must name the folder with GPT-2's encoder.json and "
                    "vocab.bpe"
                )
            GPT2Tokenizer.from_release(expand_path(each.directory))


def check_benchmarks(config: RunConfig) -> None:
    """Read the benchmarks' files.

    Raises:
        DataError: If a file cannot be read, or holds no question or no text.
    """
    from gpt_core.evaluation import check_benchmark  # imports torch

    for name, source in config.benchmarks.sources().items():
        file = present_local_file(Source(source, name))
        if file is not None:
            check_benchmark(name, file)


def check_devices(flow: Flow, config: RunConfig) -> None:
    """Check that the devices that the settings name are there; ``auto`` and ``cpu`` always are.

    Raises:
        ConfigError: Naming the setting.
    """
    for name in flow.sections_used(config):
        device = getattr(getattr(config, name), "device", "auto")
        if device not in _WITHOUT_GPU:
            from gpt_core.execution import resolve_device  # imports torch, seldom needed here

            try:
                resolve_device(device)
            except ConfigError as error:
                raise ConfigError(f"{name}.device: {error}") from error
