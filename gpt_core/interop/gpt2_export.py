"""Export a gptflow checkpoint as a directory that ``transformers`` opens."""

from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import TOKENIZER
from gpt_core.config import GPTConfig
from gpt_core.errors import ConversionError
from gpt_core.files import Progress, write_json
from gpt_core.interop.gpt2_huggingface import CONFIG, PREFIX
from gpt_core.interop.gpt2_names import tensor_names
from gpt_core.interop.model_card import model_card
from gpt_core.interop.tokenizer_export import export_tokenizer
from gpt_core.interop.weight_files import WEIGHTS
from gpt_core.models import load_model, write_tensors
from gpt_core.tokenizers import load_tokenizer


def export_huggingface(
    checkpoint: Artifact, out_dir: Path, *, progress: Progress | None = None
) -> Artifact:
    """Write a directory that ``GPT2LMHeadModel`` and ``AutoTokenizer`` open, with a model card.

    It also contains gptflow's ``tokenizer`` directory.

    Args:
        checkpoint: A language model.
        out_dir: Directory of the release.
        progress: Receives ``tensors``.

    Returns:
        A release artifact; ``import_gpt2`` reads it back bit for bit.

    Raises:
        ConversionError: If the model has no biases, which GPT-2's format requires.
        CheckpointError: If the checkpoint is damaged or a classifier's.
    """
    model = load_model(checkpoint.directory)
    if not model.config.bias:
        raise ConversionError(
            f"{checkpoint.path} has no biases (model.bias=false), but GPT-2's format needs them"
        )
    parameters = dict(model.named_parameters())
    tensors = {}
    for name in tensor_names(model.config):
        prefix = "" if name.ours == "lm_head.weight" else PREFIX
        weight = parameters[name.ours].detach()
        tensors[prefix + name.huggingface] = weight.T if name.transposed else weight
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    with new_artifact(out_dir, kind="release", parents=[checkpoint]) as draft:
        settings = huggingface_settings(model.config, tokenizer.eos_id)
        write_json(draft.directory / CONFIG, settings)
        write_tensors(tensors, draft.directory / WEIGHTS, {"format": "pt"}, progress=progress)
        tokenizer.save(draft.directory / TOKENIZER)
        export_tokenizer(tokenizer, draft.directory, model.config.context_length)
        card = model_card(checkpoint, model.config, tokenizer)
        (draft.directory / "README.md").write_text(card, encoding="utf-8")
    return draft.artifact


def huggingface_settings(config: GPTConfig, eos_id: int) -> dict[str, object]:
    """The model's ``config.json`` in the terms of ``transformers``.

    Args:
        config: Shape of the model, ``vocab_size`` set.
        eos_id: Id that ends a document and starts the next.
    """
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_embd": config.n_embd,
        "n_positions": config.context_length,
        "vocab_size": config.vocab_size,
        "layer_norm_epsilon": config.layer_norm_epsilon,
        "tie_word_embeddings": config.tied_head,
        "attn_pdrop": config.attention_dropout,
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "bos_token_id": eos_id,
        "eos_token_id": eos_id,
        "torch_dtype": "float32",
    }
