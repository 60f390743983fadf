"""Our adapters against PEFT on ``transformers``' GPT-2: gradients, logits, and files both ways."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from gpt_core.artifact import Artifact
from gpt_core.config import ClassificationConfig, InstructionConfig, LoRAConfig, LoRAVariant
from gpt_core.finetuning import finetune_classifier, finetune_instructions
from gpt_core.finetuning.lora import add_adapters, merge_adapters
from gpt_core.generation import template_of
from gpt_core.interop import export_huggingface, import_gpt2
from gpt_core.models import (
    Adapters,
    load_adapted,
    load_classifier,
    load_model,
    next_token_loss,
    read_adapter,
    to_file_name,
    weights_fingerprint,
)
from gpt_core.text import register_source
from gpt_core.tokenizers import ByteTokenizer

peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")
# PEFT asks transformers by an old name
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
V, T = 257, 64
WITHIN = 1e-4  # of a logit, in float32
VARIANTS: tuple[LoRAVariant, ...] = ("lora", "rslora", "dora", "pissa")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A GPT-2 of random weights with nonzero biases."""
    folder = tmp_path_factory.mktemp("base")
    shape = {"n_layer": 2, "n_head": 4, "n_embd": 32, "vocab_size": V, "n_positions": T}
    config = transformers.GPT2Config(**shape, bos_token_id=256, eos_token_id=256)
    model = transformers.GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder / "theirs")
    ByteTokenizer().save(folder / "theirs" / "tokenizer")
    return import_gpt2(folder / "theirs", folder / "ours")


@pytest.fixture(scope="module")
def release(base: Artifact) -> Path:
    return export_huggingface(base, base.directory.with_name("release")).directory


@pytest.fixture(scope="module")
def instructions(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("tasks")
    words = ["".join(random.choices("abcd", k=3)) for _ in range(24)]
    tasks = [{"instruction": f"Say {word}.", "output": word} for word in words]
    (folder / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    return register_source(folder / "tasks.json", folder / "raw")


def tune(
    base: Artifact, instructions: Artifact, lora: LoRAConfig, out_dir: Path
) -> tuple[Artifact, Path]:
    """A short fine-tune; returns it and its adapter."""
    config = InstructionConfig(template="short", epochs=2, learning_rate=1e-2, max_new_tokens=2)
    made = finetune_instructions(base, instructions, config, lora, out_dir)
    return made, made.directory / "adapter"


def open_in_peft(kind: Any, release: Path, adapter: Path) -> Any:
    return peft.PeftModel.from_pretrained(kind.from_pretrained(release), adapter).eval()


def tensors_in_peft(model: Any) -> Mapping[str, torch.Tensor]:
    found: Mapping[str, torch.Tensor] = peft.get_peft_model_state_dict(model)
    return found


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saved_adapter_gives_the_same_logits_in_peft_and_here(
    base: Artifact, release: Path, instructions: Artifact, tmp_path: Path, variant: LoRAVariant
) -> None:
    lora = LoRAConfig(rank=2, alpha=6.0, variant=variant)
    made, adapter = tune(base, instructions, lora, tmp_path / "made")
    alone, _ = tune(
        base, instructions, LoRAConfig(**_fields(lora), merge=False), tmp_path / "alone"
    )
    theirs = open_in_peft(transformers.GPT2LMHeadModel, release, adapter)
    token_ids = torch.randint(V, (3, T))
    with torch.inference_mode():
        expected = theirs(token_ids).logits
        unadapted = load_model(base.directory)(token_ids)
        merged = load_model(made.directory)(token_ids)
        assert (merged - unadapted).abs().max() > 0.1
        assert (merged - expected).abs().max() < WITHIN
        assert (load_model(alone.directory)(token_ids) - merged).abs().max() < WITHIN
        unmerged = load_adapted(base.directory, adapter)
        assert (unmerged(token_ids) - expected).abs().max() < WITHIN
    assert template_of(base.directory, adapter) == "short"
    assert not (alone.directory / "model.safetensors").exists()
    saved = read_adapter(adapter).tensors
    found = tensors_in_peft(theirs)
    assert saved.keys() == found.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in saved.items())
    ours = Adapters(load_model(base.directory), weights_fingerprint(base))
    ours.load(adapter)
    held = tensors_in_peft(ours._wrapper)
    assert {to_file_name(n.removeprefix("base_model.model.")) for n in held} == saved.keys()
    assert all(
        torch.equal(tensor, saved[to_file_name(name.removeprefix("base_model.model."))])
        for name, tensor in held.items()
    )


def _fields(lora: LoRAConfig) -> dict[str, Any]:
    return {name: getattr(lora, name) for name in ("rank", "alpha", "variant", "targets")}


@pytest.mark.parametrize("variant", ["lora", "rslora", "dora"])
def test_loss_and_gradients_are_those_of_peft_with_the_same_adapter(
    base: Artifact, release: Path, variant: LoRAVariant
) -> None:
    lora = LoRAConfig(rank=3, alpha=5.0, variant=variant, targets=("attn.c_attn", "mlp.c_proj"))
    ours = add_adapters(load_model(base.directory), lora, range(2))
    settings = peft.LoraConfig(
        r=3,
        lora_alpha=5,
        target_modules=["attn.c_attn", "mlp.c_proj"],
        fan_in_fan_out=True,
        use_rslora=variant == "rslora",
        use_dora=variant == "dora",
    )
    model = transformers.GPT2LMHeadModel.from_pretrained(release).eval()
    theirs = peft.get_peft_model(model, settings)
    trained = {n: p for n, p in ours.named_parameters() if p.requires_grad}
    others = {n: p for n, p in theirs.named_parameters() if p.requires_grad}
    pairs = {n: others[n.replace(".model.h.", ".model.transformer.h.")] for n in trained}
    assert len(pairs) == len(others)
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.add_(torch.randn_like(parameter) * 0.1)
            pairs[name].copy_(parameter)
    token_ids = torch.randint(V, (3, T))
    targets = token_ids[:, 1:].clone()
    targets[:, :20] = -100
    logits = ours(token_ids[:, :-1])
    expected = theirs(token_ids).logits[:, :-1]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    loss = next_token_loss(logits, targets)
    other = theirs(token_ids, labels=F.pad(targets, (1, 0), value=-100)).loss
    assert loss.item() == pytest.approx(other.item(), abs=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    other.backward()
    for name, parameter in trained.items():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0, name
        torch.testing.assert_close(parameter.grad, pairs[name].grad, atol=1e-5, rtol=1e-4)
    with torch.inference_mode():
        unmerged = ours(token_ids)
        merged, _ = merge_adapters(ours)
        assert (merged(token_ids) - unmerged).abs().max() < WITHIN


def test_an_adapter_that_peft_wrote_opens_here(
    base: Artifact, release: Path, tmp_path: Path
) -> None:
    settings = peft.LoraConfig(
        r=2, lora_alpha=8, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True,
        rank_pattern={"transformer.h.1.mlp.c_fc": 4}, alpha_pattern={"transformer.h.1.mlp.c_fc": 3},
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel.from_pretrained(release)
    theirs = peft.get_peft_model(model, settings).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    theirs.save_pretrained(tmp_path / "adapter")
    ours = load_adapted(base.directory, tmp_path / "adapter")
    token_ids = torch.randint(V, (2, T))
    with torch.inference_mode():
        expected = theirs(token_ids).logits
        assert (ours(token_ids) - expected).abs().max() < WITHIN
        assert (load_model(base.directory)(token_ids) - expected).abs().max() > 0.1
    assert template_of(base.directory, tmp_path / "adapter") is None


def test_a_classifiers_adapter_has_its_head_and_opens_in_peft(
    base: Artifact, release: Path, tmp_path: Path
) -> None:
    lines = [
        f"{label}\t{word} {i}" for i in range(40) for label, word in [("a", "up"), ("b", "no")]
    ]
    (tmp_path / "texts.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    texts = register_source(tmp_path / "texts.tsv", tmp_path / "raw")
    config = ClassificationConfig(epochs=1, trainable_blocks=1, learning_rate=1e-2)
    lora = LoRAConfig(rank=2, merge=False)
    made = finetune_classifier(base, texts, config, lora, tmp_path / "made")
    classifier, labels = load_classifier(made.directory)
    assert labels == ["a", "b"]
    model = transformers.GPT2ForSequenceClassification.from_pretrained(release, num_labels=2)
    model.score = torch.nn.Linear(32, 2)  # transformers' head has no bias
    model.config.pad_token_id = 256
    theirs = peft.PeftModel.from_pretrained(model, made.directory / "adapter").eval()
    token_ids = torch.randint(V - 1, (3, 20))
    with torch.inference_mode():
        expected = theirs(token_ids).logits
        found = classifier(token_ids, torch.full((3,), 20))
    assert (found - expected).abs().max() < WITHIN
    changed = read_adapter(made.directory).settings["target_modules"]
    assert changed == [f"h.1.{n}" for n in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")]
