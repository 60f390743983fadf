"""The GPT model, its loss and its weights; a bigram baseline and a classifier.

To learn how a GPT works, read ``layers``, ``attention``, ``block`` and ``gpt``, in that order:
``SelfAttention``, ``CausalAttention``, ``MultiHeadAttention``, ``TransformerBlock``, ``GPT``.
"""

from gpt_core.config import IGNORED
from gpt_core.models.adapter_files import (
    Adapter,
    AdapterDescription,
    adapter_fingerprint,
    description_with,
    find_adapter,
    find_base,
    holds_only_adapter,
    read_adapter,
    read_adapter_description,
    to_file_name,
    weights_fingerprint,
    write_adapter,
)
from gpt_core.models.adapters import Adapters, import_peft
from gpt_core.models.attention import (
    CausalAttention,
    MultiHeadAttention,
    SelfAttention,
    explicit_attention,
)
from gpt_core.models.bigram import BigramLanguageModel, CountedBigram, fit_bigram
from gpt_core.models.block import TransformerBlock
from gpt_core.models.classifier import GPTClassifier
from gpt_core.models.decoder import Decoder, LinearKind
from gpt_core.models.eval_mode import evaluating
from gpt_core.models.factory import (
    allocate_model,
    build_model,
    count_parameters,
    flops_per_token,
)
from gpt_core.models.gpt import GPT
from gpt_core.models.head_loss import head_loss
from gpt_core.models.kv_cache import KVCache
from gpt_core.models.layers import GELU, FeedForward, LayerNorm
from gpt_core.models.loading import (
    load_adapted,
    load_adapted_classifier,
    load_classifier,
    load_model,
)
from gpt_core.models.loss import next_token_loss, perplexity
from gpt_core.models.model_loss import model_loss
from gpt_core.models.pickles import load_pickled
from gpt_core.models.shapes import classifier_shapes, parameter_shapes
from gpt_core.models.slot_cache import SlotCache, SlotStep
from gpt_core.models.step_graphs import StepGraphs, StepKind, build_step_graphs
from gpt_core.models.weights import (
    load_weights,
    require_weights,
    save_weights,
    weights_of,
    write_tensors,
)

__all__ = [
    "GELU",
    "GPT",
    "IGNORED",
    "Adapter",
    "AdapterDescription",
    "Adapters",
    "BigramLanguageModel",
    "CausalAttention",
    "CountedBigram",
    "Decoder",
    "FeedForward",
    "GPTClassifier",
    "KVCache",
    "LayerNorm",
    "LinearKind",
    "MultiHeadAttention",
    "SelfAttention",
    "SlotCache",
    "SlotStep",
    "StepGraphs",
    "StepKind",
    "TransformerBlock",
    "adapter_fingerprint",
    "allocate_model",
    "build_model",
    "build_step_graphs",
    "classifier_shapes",
    "count_parameters",
    "description_with",
    "evaluating",
    "explicit_attention",
    "find_adapter",
    "find_base",
    "fit_bigram",
    "flops_per_token",
    "head_loss",
    "holds_only_adapter",
    "import_peft",
    "load_adapted",
    "load_adapted_classifier",
    "load_classifier",
    "load_model",
    "load_pickled",
    "load_weights",
    "model_loss",
    "next_token_loss",
    "parameter_shapes",
    "perplexity",
    "read_adapter",
    "read_adapter_description",
    "require_weights",
    "save_weights",
    "to_file_name",
    "weights_fingerprint",
    "weights_of",
    "write_adapter",
    "write_tensors",
]
