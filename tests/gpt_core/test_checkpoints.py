"""A checkpoint's description round-trips; what does not describe one is one sentence."""

import dataclasses
import json
from pathlib import Path

import pytest

from gpt_core.artifact import new_artifact
from gpt_core.checkpoints import (
    CheckpointDescription,
    is_training_state,
    list_steps,
    read_description,
    step_directory,
    step_of_directory,
    write_checkpoint,
)
from gpt_core.config import BenchmarkConfig, GPTConfig
from gpt_core.errors import CheckpointError, ConfigError
from gpt_core.files import sha256_file

SHAPE = GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=11, context_length=4)
DESCRIPTIONS = [
    CheckpointDescription(kind="pretrained", step=3, model=SHAPE),
    CheckpointDescription(kind="imported", step=0, model=SHAPE),
    CheckpointDescription(
        kind="classifier", step=7, model=SHAPE, labels=("ham", "spam"), max_tokens=4
    ),
    CheckpointDescription(kind="instruction", step=9, model=SHAPE, template="short", max_tokens=4),
]


def write(out: Path, description: CheckpointDescription) -> Path:
    """A checkpoint with a few bytes in place of weights and tokenizer."""

    def save_weights(path: Path) -> str:
        path.write_bytes(b"weights")
        return sha256_file(path)

    def save_tokenizer(path: Path) -> None:
        path.mkdir()
        (path / "tokenizer.json").write_text("{}")

    with new_artifact(out, kind="checkpoint") as draft:
        write_checkpoint(
            draft, description, save_weights=save_weights, save_tokenizer=save_tokenizer
        )
    return out


@pytest.mark.parametrize("description", DESCRIPTIONS, ids=lambda each: each.kind)
def test_a_description_round_trips(tmp_path: Path, description: CheckpointDescription) -> None:
    checkpoint = write(tmp_path / "a", description)
    assert read_description(checkpoint) == description
    content = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    assert list(content)[:3] == ["kind", "step", "model"]
    assert None not in content.values()
    names = sorted(file.name for file in checkpoint.iterdir())
    assert names == ["config.json", "manifest.json", "model.safetensors", "tokenizer"]


def test_the_manifest_repeats_the_description_except_the_shape(tmp_path: Path) -> None:
    with new_artifact(tmp_path / "a", kind="checkpoint") as draft:
        write_checkpoint(
            draft,
            DESCRIPTIONS[2],
            save_weights=lambda path: str(path.write_bytes(b"")) * 64,
            save_tokenizer=Path.mkdir,
        )
    manifest = draft.artifact.manifest()
    assert manifest.info == {
        "kind": "classifier", "step": 7, "labels": ["ham", "spam"], "max_tokens": 4
    }  # fmt: skip
    assert manifest.files["model.safetensors"].sha256 == "0" * 64, "the writer's hash is recorded"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "gpt"}, "kind must be one of pretrained, imported, classifier, instruction"),
        ({"step": "3"}, "step must be a whole number, got '3'"),
        ({"step": None}, "step must be a whole number, got None"),
        ({"model": 3}, "model is a section"),
        (
            {"model": {"n_layers": 1}},
            r"there is no setting model\.n_layers; did you mean model\.n_layer",
        ),
        ({"model": {"n_head": 5}}, r"model\.n_embd \(768\) must be a multiple of n_head"),
        ({"labels": ["a"]}, "labels belong to a classifier"),
        ({"template": "short"}, "a template belongs to instructions"),
        ({"kind": "classifier"}, "labels belong to a classifier"),
        ({"kind": "instruction"}, "a template belongs to instructions"),
        ({"architectures": []}, "there is no setting architectures"),
    ],
)
def test_what_does_not_describe_a_checkpoint_is_one_sentence(
    tmp_path: Path, change: dict[str, object], sentence: str
) -> None:
    file = write(tmp_path / "a", DESCRIPTIONS[0]) / "config.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | change), encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"a is not a checkpoint of gptflow: {sentence}"):
        read_description(tmp_path / "a")


@pytest.mark.parametrize("key", ["kind", "step", "model"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    file = write(tmp_path / "a", DESCRIPTIONS[0]) / "config.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    del content[key]
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"the setting {key} is missing"):
        read_description(tmp_path / "a")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"config\.json does not exist"),
        ("[1]", r"config\.json should be a JSON object"),
        ("{", r"config\.json is not valid JSON"),
    ],
)
def test_an_unreadable_description_is_one_sentence(
    tmp_path: Path, content: str | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=sentence):
        read_description(tmp_path)


def test_steps_are_listed_newest_first(tmp_path: Path) -> None:
    for step in (3, 120, 20, 123_456_789):
        step_directory(tmp_path, step).mkdir()
    (tmp_path / ".step-00000007.part").mkdir()
    (tmp_path / "step-other").mkdir()
    steps = [step_of_directory(directory) for directory in list_steps(tmp_path)]
    assert steps == [123_456_789, 120, 20, 3]
    assert list_steps(tmp_path / "missing") == []


def test_a_step_is_labelled_with_its_run() -> None:
    """The configuration knows the names of steps without this module, which is above it."""
    name = str(step_directory(Path("data/run"), 250))
    assert list(BenchmarkConfig(checkpoints=(name,)).by_label()) == ["run/step-00000250"]


def test_training_state_is_distinguished_from_a_models_files() -> None:
    assert is_training_state("training_state.pt")
    assert is_training_state("training_state/rank-00000.safetensors")
    for name in ("model.safetensors", "config.json", "tokenizer/tokenizer.json", "training_states"):
        assert not is_training_state(name)


def test_a_description_is_frozen_and_checked() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DESCRIPTIONS[0].step = 4  # type: ignore[misc]
    with pytest.raises(ConfigError, match="labels belong to a classifier"):
        CheckpointDescription(kind="classifier", step=0, model=SHAPE)
