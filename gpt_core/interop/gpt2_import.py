"""Import GPT-2 weights (Hugging Face or OpenAI format) as a gptflow checkpoint."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import CheckpointDescription, write_checkpoint
from gpt_core.config import GPTConfig
from gpt_core.files import Progress, sha256_file
from gpt_core.interop.gpt2_huggingface import (
    CONFIG,
    read_eos_id,
    read_gpt2_config,
    read_gpt2_tensors,
)
from gpt_core.interop.gpt2_openai import (
    HPARAMS,
    openai_index,
    read_openai_config,
    read_openai_tensors,
)
from gpt_core.interop.release_tokenizer import read_release_tokenizer
from gpt_core.interop.weight_files import weight_files
from gpt_core.models import count_parameters, write_tensors
from gpt_core.tokenizers import Tokenizer


def check_gpt2(directory: Path) -> None:
    """Check that a release has a description, a vocabulary and weights; the weights are not read.

    Raises:
        ConversionError: If the description or the weights are missing, or of another architecture.
        DataError: If the vocabulary is missing or damaged.
    """
    _read_description(directory)
    if _is_openai(directory):
        openai_index(directory)
    else:
        weight_files(directory)


def _is_openai(directory: Path) -> bool:
    return (directory / HPARAMS).is_file() and not (directory / CONFIG).is_file()


def _read_description(directory: Path) -> tuple[GPTConfig, Tokenizer]:
    """The shape of a release's model, and its tokenizer."""
    is_openai = _is_openai(directory)
    config = read_openai_config(directory) if is_openai else read_gpt2_config(directory)
    eos_id = None if is_openai else read_eos_id(directory)
    described = directory / (HPARAMS if is_openai else CONFIG)
    return config, read_release_tokenizer(described, config.vocab_size or 0, eos_id)


def import_gpt2(directory: Path, out_dir: Path, *, progress: Progress | None = None) -> Artifact:
    """Import a release of GPT-2, or of a model of its architecture, as a checkpoint.

    Its format is Hugging Face's (``config.json`` and the weights, see ``weight_files``) or OpenAI's
    (``hparams.json``, ``model.ckpt.index`` and ``model.ckpt.data-00000-of-00001``). The weights go
    from file to file, one tensor in memory at a time.

    Args:
        directory: The release, with its vocabulary, see ``read_release_tokenizer``.
        out_dir: Directory of the checkpoint.
        progress: Receives ``tensors``.

    Returns:
        A checkpoint artifact.

    Raises:
        ConversionError: Naming the file and the tensor or setting that does not fit.
        DataError: If the vocabulary is missing or damaged.
    """
    config, tokenizer = _read_description(directory)
    if _is_openai(directory):
        # The index has a checksum of every tensor.
        tensors, sources = read_openai_tensors(directory, config), [openai_index(directory)]
    else:
        tensors, sources = read_gpt2_tensors(directory, config), weight_files(directory)
    with (
        ThreadPoolExecutor(max_workers=1) as worker,
        new_artifact(out_dir, kind="checkpoint") as draft,
    ):
        hashing = worker.submit(lambda: {source.name: sha256_file(source) for source in sources})
        write_checkpoint(
            draft,
            CheckpointDescription(kind="imported", step=0, model=config),
            save_weights=partial(write_tensors, tensors, progress=progress),
            save_tokenizer=tokenizer.save,
        )
        draft.info["sources"] = hashing.result()
        draft.metrics["parameters"] = float(count_parameters(config))
    return draft.artifact
