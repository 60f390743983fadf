"""Other people's weights, in and out."""

from gpt_core.interop.gpt2_export import export_huggingface
from gpt_core.interop.gpt2_import import import_gpt2, read_gpt2_config, read_gpt2_tensors

__all__ = ["export_huggingface", "import_gpt2", "read_gpt2_config", "read_gpt2_tensors"]
