"""Read and write low-rank adapters in PEFT's directory format.

adapter_config.json         PEFT's settings: rank, alpha, layers
adapter_model.safetensors   the tensors, under the names that ``transformers``' GPT-2 has in PEFT
gptflow.json                the model that the adapter belongs to, and what it was trained for

So ``peft.PeftModel.from_pretrained`` opens the directory on the model that ``gptflow release``
exports. A weight W of shape (out, in) has A of shape (rank, in) and B of shape (out, rank) in both
layouts: GPT-2 stores W transposed, which ``fan_in_fan_out`` tells PEFT.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gpt_core.artifact import Artifact, fingerprint_of, read_artifact, to_json_value
from gpt_core.checkpoints import ADAPTER, WEIGHTS, CheckpointDescription, read_description
from gpt_core.config import build_config
from gpt_core.config.section import Section
from gpt_core.errors import CheckpointError, ConfigError, DataError
from gpt_core.files import read_json, sha256_file, write_json
from gpt_core.models.weights import write_tensors

SETTINGS = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
DESCRIPTION = "gptflow.json"
PREFIX = "base_model.model."
"""The beginning of every name that PEFT gives a tensor of an adapter."""

_TYPES: Mapping[str, tuple[type, ...]] = {"r": (int,), "lora_alpha": (int, float)}
_UNSUPPORTED = ("alora_invocation_tokens", "layer_replication", "lora_bias", "target_parameters",
                "trainable_token_indices", "use_bdlora", "use_qalora")  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterDescription(Section):
    """The content of an adapter's ``gptflow.json``."""

    base: str
    """Fingerprint of the weights that the adapter was trained on."""

    checkpoint: CheckpointDescription
    """The ``config.json`` of the model with the adapter."""

    base_path: str | None = None
    """Where the checkpoint with those weights is, seen from the directory of this one, if this has
    no weights of its own."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that was read from its directory."""

    directory: Path
    settings: Mapping[str, object]
    """The content of ``adapter_config.json``."""

    tensors: Mapping[str, Tensor]
    """By their names in the file."""

    description: AdapterDescription | None
    """None if the adapter was not written by gptflow."""

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    def require_base(self, fingerprint: str) -> None:
        """Require that the adapter belongs to weights.

        Args:
            fingerprint: See ``weights_fingerprint``.

        Raises:
            CheckpointError: If it says that it belongs to others.
        """
        if self.description is not None and self.description.base != fingerprint:
            raise CheckpointError(
                f"the adapter {self.directory} belongs to weights with the fingerprint "
                f"{self.description.base}, but this model has {fingerprint}: give the checkpoint "
                "that it was trained on"
            )


def weights_fingerprint(checkpoint: Artifact) -> str:
    """The fingerprint of a checkpoint's weights, equal for every checkpoint that has the same."""
    files = checkpoint.manifest().files
    if WEIGHTS in files:
        return files[WEIGHTS].sha256[:32]
    description = read_adapter_description(checkpoint.directory / ADAPTER)
    adapter = files.get(f"{ADAPTER}/{TENSORS}")
    if description is None or adapter is None:
        raise CheckpointError(f"{checkpoint.path} has neither weights nor an adapter")
    return fingerprint_of(description.base, adapter.sha256)


def to_file_name(name: str) -> str:
    """A tensor's name in the file, from its name in gptflow's model.

    Example:
        >>> to_file_name("gpt.h.0.mlp.c_fc.lora_A.weight")
        'base_model.model.transformer.h.0.mlp.c_fc.lora_A.weight'
    """
    return PREFIX + re.sub(r"^(gpt\.)?h\.", "transformer.h.", name)


def write_adapter(
    directory: Path,
    settings: Mapping[str, object],
    tensors: Mapping[str, Tensor],
    description: AdapterDescription,
) -> int:
    """Write an adapter's directory.

    Args:
        directory: The directory, which is made.
        settings: The content of ``adapter_config.json``.
        tensors: The tensors by their names in the file.
        description: The model that it belongs to.

    Returns:
        Bytes of the tensors' file.
    """
    directory.mkdir()
    write_json(directory / SETTINGS, dict(settings))
    write_tensors(tensors, directory / TENSORS, {"format": "pt"})
    values = cast(dict[str, object], to_json_value(description))
    given = {name: value for name, value in values.items() if value is not None}
    write_json(directory / DESCRIPTION, given)
    return (directory / TENSORS).stat().st_size


def find_adapter(directory: Path) -> Path:
    """The directory of an adapter: this one, or the one in a checkpoint.

    Raises:
        CheckpointError: If there is none.
    """
    for found in (directory, directory / ADAPTER):
        if (found / SETTINGS).is_file():
            return found
    raise CheckpointError(
        f"{directory} is no adapter: neither it nor {ADAPTER} in it has {SETTINGS}, which a "
        "fine-tune with lora.rank above 0 writes"
    )


def read_adapter(directory: Path) -> Adapter:
    """Read an adapter, of gptflow or of PEFT.

    Args:
        directory: The adapter's directory, or a checkpoint's that has one.

    Raises:
        CheckpointError: If there is none, it cannot be read, or is of another kind than LoRA.
    """
    found = find_adapter(directory)
    settings = _read_settings(found)
    try:
        tensors = load_file(found / TENSORS)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{found / TENSORS} cannot be read: {error}") from error
    foreign = next((name for name in tensors if not name.startswith(PREFIX)), None)
    if foreign is not None or not tensors:
        raise CheckpointError(
            f"{found / TENSORS} has no tensors of PEFT: {foreign or 'none at all'}"
        )
    return Adapter(found, settings, tensors, read_adapter_description(found))


def read_adapter_description(directory: Path) -> AdapterDescription | None:
    """Read ``gptflow.json``; None if there is none.

    Raises:
        CheckpointError: If it cannot be used.
    """
    file = directory / DESCRIPTION
    if not file.is_file():
        return None
    try:
        content = read_json(file)
        if not isinstance(content, dict):
            raise DataError("it should be a JSON object")
        return build_config(AdapterDescription, content)
    except (DataError, ConfigError) as error:
        raise CheckpointError(f"{file} does not describe an adapter: {error}") from error


def adapter_fingerprint(directory: Path) -> str:
    """The fingerprint of an adapter's files, wherever they are.

    Args:
        directory: The adapter's directory, or a checkpoint's that has one.

    Raises:
        CheckpointError: If there is none, or a file of it cannot be read.
    """
    found = find_adapter(directory)
    files = [found / name for name in (SETTINGS, TENSORS, DESCRIPTION)]
    try:
        return fingerprint_of(*(sha256_file(file) for file in files if file.is_file()))
    except OSError as error:
        raise CheckpointError(f"the adapter {found} cannot be read: {error}") from error


def description_with(checkpoint: Path, adapter: Path | None) -> CheckpointDescription:
    """The description of a checkpoint's model when an adapter is used on it.

    Args:
        checkpoint: A checkpoint's directory.
        adapter: The directory of an adapter for it, or of a checkpoint that has one. It says what
            it was trained for, unless another program made it.

    Raises:
        CheckpointError: If one of them is incomplete or damaged.
    """
    own = read_description(checkpoint)
    tuned = None if adapter is None else read_adapter_description(find_adapter(adapter))
    return own if tuned is None else tuned.checkpoint


def _read_settings(directory: Path) -> Mapping[str, object]:
    file = directory / SETTINGS
    try:
        settings = read_json(file)
    except DataError as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from error
    if not isinstance(settings, dict) or settings.get("peft_type") != "LORA":
        found = settings.get("peft_type") if isinstance(settings, dict) else settings
        raise CheckpointError(f"{file}: peft_type must be 'LORA', got {found!r:.80}")
    for name, types in _TYPES.items():
        if type(settings.get(name)) not in types or settings[name] <= 0:
            raise CheckpointError(
                f"{file}: {name} must be a number above 0, got {settings.get(name)!r:.80}"
            )
    unsupported = [name for name in _UNSUPPORTED if settings.get(name)]
    if unsupported or settings.get("bias", "none") != "none":
        raise CheckpointError(f"{file}: {(*unsupported, 'bias')[0]} is not supported by gptflow")
    return settings


def holds_only_adapter(checkpoint: Path) -> bool:
    """Whether a checkpoint has no weights but an adapter for those of another one."""
    if (checkpoint / WEIGHTS).exists():
        return False
    description = read_adapter_description(checkpoint / ADAPTER)
    return description is not None and description.base_path is not None


def find_base(checkpoint: Path) -> Artifact:
    """Find the checkpoint that one with only an adapter belongs to, by its fingerprint.

    It is looked for where it was, seen from this checkpoint, and among the checkpoints around it,
    so that both may be moved.

    Raises:
        CheckpointError: If it is not there.
    """
    description = read_adapter_description(checkpoint / ADAPTER)
    assert description is not None
    assert description.base_path is not None
    place = checkpoint.resolve()
    named = place / description.base_path
    for candidate in (named, *place.parent.glob("*"), *place.parent.glob("*/step-*")):
        try:
            found = read_artifact(candidate, "checkpoint")
            if weights_fingerprint(found) == description.base:
                return found
        except (DataError, CheckpointError):
            continue
    raise CheckpointError(
        f"{checkpoint} holds only an adapter, and the model that it belongs to is neither in "
        f"{description.base_path} nor among the checkpoints around it (fingerprint "
        f"{description.base}): put it back"
    )
