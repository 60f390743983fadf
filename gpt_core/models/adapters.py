"""Low-rank adapters on a model, through PEFT: load, choose, merge and take them out again.

References:
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from gpt_core.errors import CheckpointError, ConfigError
from gpt_core.models.adapter_files import PREFIX, Adapter, read_adapter
from gpt_core.models.classifier import GPTClassifier
from gpt_core.models.gpt import GPT


def import_peft() -> ModuleType:
    """Import PEFT, which takes seconds.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise ConfigError(
            "adapters (lora.rank) need the package peft: pip install 'gptflow[lora]', or set "
            "lora.rank=0"
        ) from error
    module: ModuleType = peft
    return module


class Adapters:
    """The adapters on one model.

    PEFT replaces the model's linear layers in place, so the model is called as before.

    Args:
        model: The GPT or classifier.
        base: Fingerprint of the weights, see ``weights_fingerprint``.

    Raises:
        ConfigError: If PEFT is not installed.
    """

    def __init__(self, model: GPT | GPTClassifier, base: str) -> None:
        self.model, self.base = model, base
        self.peft = import_peft()
        self._wrapper: Any = None
        self._merged = False

    def load(self, directory: Path, name: str = "default") -> Adapter:
        """Load an adapter and use it.

        Args:
            directory: The adapter's directory, or a checkpoint's that has one.
            name: The name by which it is chosen later; that of a loaded one replaces it.

        Raises:
            CheckpointError: If it cannot be read, belongs to another model, or naming the first
                tensor that is missing, unexpected or of another shape.
        """
        adapter = read_adapter(directory)
        adapter.require_base(self.base)
        tensors = self._rename(adapter)
        layers = self._require_fit(adapter, tensors)
        settings = self._settings(adapter, layers, tensors)
        self.remove(name)
        with torch.random.fork_rng(devices=[]):  # PEFT draws weights, which are then replaced
            if self._wrapper is None:
                self._wrapper = self.peft.PeftModel(self.model, settings, adapter_name=name)
            else:
                self._wrapper.add_adapter(name, settings)
        named = {f"{PREFIX}{tensor}": value for tensor, value in tensors.items()}
        self.peft.set_peft_model_state_dict(self._wrapper, named, adapter_name=name)
        self.use(name)
        return adapter

    @property
    def names(self) -> list[str]:
        """The names of the loaded adapters."""
        return [] if self._wrapper is None else list(self._wrapper.peft_config)

    def use(self, name: str | None) -> None:
        """Use a loaded adapter, or with None the model without any.

        Raises:
            ValueError: If none of that name is loaded.
        """
        if name is not None and name not in self.names:
            raise ValueError(f"no adapter {name!r} is loaded; there are {', '.join(self.names)}")
        if self._wrapper is None:
            return
        self.unmerge()
        if name is None:
            self._wrapper.base_model.disable_adapter_layers()
        else:
            self._wrapper.base_model.enable_adapter_layers()
            self._wrapper.set_adapter(name)
        self._wrapper.requires_grad_(False)
        self.model.eval()

    def remove(self, name: str) -> None:
        """Take an adapter out of the model; one that is not loaded is no mistake."""
        self.unmerge()
        others = [other for other in self.names if other != name]
        if others == self.names:
            return
        if others:
            self.use(others[0])
            self._wrapper.delete_adapter(name)
        else:
            self._wrapper.unload()
            self._wrapper = None

    def merge(self) -> None:
        """Add the update of the adapter in use to the weights, which makes the model faster."""
        if self._wrapper is not None and not self._merged:
            self._wrapper.merge_adapter()
            self._merged = True

    def unmerge(self) -> None:
        """Subtract the update again; the weights are what they were up to rounding."""
        if self._merged:
            self._wrapper.unmerge_adapter()
            self._merged = False

    def merge_and_remove(self) -> None:
        """Merge for good: the model has its own layers again, with the update in their weights."""
        if self._wrapper is not None:
            self._wrapper.merge_and_unload()
            self._wrapper, self._merged = None, False

    def _rename(self, adapter: Adapter) -> dict[str, Tensor]:
        """The tensors by their names in the model."""
        body = "gpt." if isinstance(self.model, GPTClassifier) else ""
        tensors = {
            name.removeprefix(PREFIX).replace("transformer.", body, 1): tensor
            for name, tensor in adapter.tensors.items()
        }
        if "score.weight" in tensors and isinstance(self.model, GPTClassifier):
            # transformers' classifier has no bias
            tensors.setdefault("score.bias", torch.zeros(self.model.score.out_features))
        return tensors

    def _require_fit(self, adapter: Adapter, tensors: Mapping[str, Tensor]) -> list[str]:
        """Check every tensor against the model; returns the names of the adapted layers."""
        modules = dict(self.model.named_modules())
        layers = sorted({name.partition(".lora_")[0] for name in tensors if ".lora_" in name})
        wanted: dict[str, tuple[int, ...]] = {}
        for layer in layers:
            module: Any = modules.get(layer)
            rank = tensors.get(f"{layer}.lora_A.weight", torch.empty(0)).shape[:1]
            if not hasattr(module, "in_features") or not any(rank):
                raise CheckpointError(
                    f"the adapter {adapter.directory} changes {layer}, which is no linear layer "
                    "of this model"
                )
            wanted[f"{layer}.lora_A.weight"] = (*rank, module.in_features)
            wanted[f"{layer}.lora_B.weight"] = (module.out_features, *rank)
            if adapter.settings.get("use_dora"):
                wanted[f"{layer}.lora_magnitude_vector"] = (module.out_features,)
        if isinstance(self.model, GPTClassifier):
            head = (self.model.score.out_features, self.model.score.in_features)
            wanted |= {"score.weight": head, "score.bias": head[:1]}
        self._compare(adapter, tensors, wanted)
        return layers

    def _compare(
        self,
        adapter: Adapter,
        tensors: Mapping[str, Tensor],
        wanted: Mapping[str, tuple[int, ...]],
    ) -> None:
        where = f"the adapter {adapter.directory}"
        for name in sorted(wanted.keys() - tensors.keys()):
            raise CheckpointError(f"{where} lacks the tensor {name} that this model needs")
        for name in sorted(tensors.keys() - wanted.keys()):
            raise CheckpointError(f"{where} has the tensor {name} that this model lacks")
        for name, shape in wanted.items():
            found = tensors[name]
            if tuple(found.shape) != shape:
                raise CheckpointError(
                    f"{where}: {name} has shape {tuple(found.shape)}, this model needs {shape}"
                )
            if not found.is_floating_point():
                raise CheckpointError(
                    f"{where}: {name} holds {found.dtype}, not numbers of a model"
                )

    def _settings(self, adapter: Adapter, layers: list[str], tensors: Mapping[str, Tensor]) -> Any:
        """PEFT's settings for gptflow's model, whose linear layers store W as (out, in)."""
        given, r = adapter.settings, adapter.settings["r"]
        alphas = given.get("alpha_pattern")
        ranks = {layer: tensors[f"{layer}.lora_A.weight"].size(0) for layer in layers}
        body = "gpt." if isinstance(self.model, GPTClassifier) else ""
        return self.peft.LoraConfig(
            r=r,
            lora_alpha=given["lora_alpha"],
            target_modules=layers,
            rank_pattern={layer: rank for layer, rank in ranks.items() if rank != r},
            alpha_pattern={
                name.replace("transformer.", body, 1): value
                for name, value in (alphas.items() if isinstance(alphas, Mapping) else ())
            },
            use_rslora=bool(given.get("use_rslora")),
            use_dora=bool(given.get("use_dora")),
            modules_to_save=["score"] if isinstance(self.model, GPTClassifier) else None,
            inference_mode=True,
        )
