"""Settings, texts, models and the machine are checked to fit each other before a flow starts."""

from pathlib import Path

import pytest

from flows.declarations import FLOWS
from flows.preflight import check_flow
from gpt_core.artifact import new_artifact
from gpt_core.checkpoints import TOKENIZER
from gpt_core.config import load_config
from gpt_core.errors import CheckpointError, ConfigError, DataError
from gpt_core.files import write_json
from gpt_core.tokenizers import ByteTokenizer

pytestmark = pytest.mark.usefixtures("home")


def check(name: str, *settings: str) -> None:
    check_flow(FLOWS[name], load_config(settings=settings))


def model(folder: Path, kind: str = "pretrained", **more: object) -> str:
    shape = {"n_layer": 2, "n_head": 1, "n_embd": 8, "context_length": 256, "vocab_size": 257}
    with new_artifact(folder / kind, kind="checkpoint") as draft:
        described = {"kind": kind, "step": 0, "model": shape, **more}
        write_json(draft.directory / "config.json", described)
        ByteTokenizer().save(draft.directory / TOKENIZER)
    return draft.artifact.path


@pytest.mark.parametrize("flow", ["classify", "instruct", "evaluate", "release", "run"])
def test_a_classifier_is_no_language_model(tmp_path: Path, flow: str) -> None:
    classifier = model(tmp_path, "classifier", labels=["a", "b"])
    with pytest.raises(CheckpointError, match="is a classifier, but a language model is needed"):
        check(flow, f"checkpoint={classifier}")
    check(flow, f"checkpoint={model(tmp_path)}")


def test_the_blocks_and_the_rank_fit_the_given_model(tmp_path: Path) -> None:
    given = f"checkpoint={model(tmp_path)}"
    check("classify", given, "classification.trainable_blocks=2", "lora.rank=8")
    with pytest.raises(ConfigError, match="trainable_blocks is 3, but the model has 2 blocks"):
        check("classify", given, "classification.trainable_blocks=3")
    with pytest.raises(ConfigError, match="rank is 9, but the model's matrices are 8 wide"):
        check("instruct", given, "lora.rank=9")
    check("instruct", given, "classification.trainable_blocks=3")


def test_too_little_text_is_refused_by_the_flows_that_train(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("\n\n".join(f"document {i}" for i in range(40)))
    check("prepare", f"source={file}", "model.context_length=8192", "training.micro_batch=1",
          "training.tokens_per_step=8192")  # fmt: skip
    with pytest.raises(DataError, match=r"tokens to train on, but model.context_length=8192 needs"):
        check("pretrain", f"source={file}", "model.context_length=8192", "training.micro_batch=1",
              "training.tokens_per_step=8192")  # fmt: skip


def test_a_split_without_text_is_refused_only_where_it_is_evaluated(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("\n\n".join(f"document number {i} of a few" for i in range(40)))
    fractions = ["cleaning.validation_share=0.2", "cleaning.test_share=0.001"]
    check("pretrain", f"source={file}", *fractions)
    check("evaluate", f"source={file}", *fractions, "evaluation.split=validation")
    with pytest.raises(DataError, match="falls into the test part, of 40 in all"):
        check("evaluate", f"source={file}", *fractions)
    with pytest.raises(ConfigError, match=r"cleaning\.test_share=0 leaves nothing to evaluate on"):
        check("evaluate", f"source={file}", "cleaning.test_share=0")


def test_a_source_without_documents_to_train_on_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("short")
    with pytest.raises(DataError, match="leaves no document to train on"):
        check("prepare", f"source={tmp_path / 'a.txt'}", "cleaning.min_characters=10")


def test_a_device_that_is_not_there_is_named_with_its_setting() -> None:
    with pytest.raises(ConfigError, match=r"evaluation.device: this machine has no mps device"):
        check("evaluate", "evaluation.device=mps")
    check("prepare", "evaluation.device=mps")


def test_gpt2s_vocabulary_is_looked_for_where_it_is_used(tmp_path: Path) -> None:
    gpt2 = ["tokenizer.kind=gpt2", "tokenizer.vocab_size=none"]
    with pytest.raises(ConfigError, match=r"tokenizer\.directory must name the folder"):
        check("prepare", *gpt2)
    with pytest.raises(DataError, match=str(tmp_path)):
        check("prepare", *gpt2, f"tokenizer.directory={tmp_path}")
    with pytest.raises(DataError, match=str(tmp_path)):
        names = f"comparison.tokenizers=[{'gpt2'!r}]"
        check("compare-tokenizers", names, f"tokenizer.directory={tmp_path}")
