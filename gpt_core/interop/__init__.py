"""Import and export of GPT-2 weights and tokenizers (Hugging Face and OpenAI formats)."""

from gpt_core.interop.gpt2_export import export_huggingface
from gpt_core.interop.gpt2_huggingface import read_gpt2_config, read_gpt2_tensors
from gpt_core.interop.gpt2_import import check_gpt2, import_gpt2
from gpt_core.interop.gpt2_openai import read_openai_config, read_openai_tensors
from gpt_core.interop.tf_checkpoint import TensorEntry, TensorFlowCheckpoint, read_index

__all__ = [
    "TensorEntry",
    "TensorFlowCheckpoint",
    "check_gpt2",
    "export_huggingface",
    "import_gpt2",
    "read_gpt2_config",
    "read_gpt2_tensors",
    "read_index",
    "read_openai_config",
    "read_openai_tensors",
]
