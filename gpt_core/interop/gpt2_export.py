"""A checkpoint of ours as a directory that ``transformers`` opens."""

from pathlib import Path

from safetensors.torch import save

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.errors import ConversionError
from gpt_core.files import write_json
from gpt_core.interop.gpt2_names import tensor_names
from gpt_core.models import load_model
from gpt_core.tokenizers import load_tokenizer


def export_huggingface(checkpoint: Artifact, out_dir: Path) -> Artifact:
    """``config.json``, ``model.safetensors`` and our ``tokenizer`` folder.

    Args:
        checkpoint: A language model.
        out_dir: Where the release goes.

    Returns:
        A release artifact; ``import_gpt2`` reads it back bit for bit.

    Raises:
        ConversionError: If the model has no biases, which GPT-2's form cannot say.
        CheckpointError: If the checkpoint is damaged or a classifier's.
    """
    model = load_model(checkpoint.directory)
    config = model.config
    if not config.bias:
        raise ConversionError(f"{checkpoint.path} has no biases, but GPT-2's form needs them")
    parameters = dict(model.named_parameters())
    tensors = {
        f"transformer.{name.huggingface}" if name.ours != "lm_head.weight" else name.ours: (
            parameters[name.ours].detach().T if name.transposed else parameters[name.ours].detach()
        ).contiguous()
        for name in tensor_names(config)
    }
    tokenizer = load_tokenizer(checkpoint.directory / "tokenizer")
    settings = {
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
        "attn_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "bos_token_id": tokenizer.eos_id,
        "eos_token_id": tokenizer.eos_id,
        "torch_dtype": "float32",
    }
    with new_artifact(out_dir, kind="release", parents=[checkpoint]) as draft:
        write_json(draft.directory / "config.json", settings)
        (draft.directory / "model.safetensors").write_bytes(save(tensors, {"format": "pt"}))
        tokenizer.save(draft.directory / "tokenizer")
    return draft.artifact
