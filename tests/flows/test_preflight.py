"""Everything a flow reads is checked before anything starts."""

from pathlib import Path

import pytest

from flows.declarations import FLOWS
from flows.preflight import check_flow, check_home, check_tables
from gpt_core.artifact import new_artifact
from gpt_core.config import load_config
from gpt_core.errors import ConfigError, DataError
from gpt_core.files import write_json


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def checkpoint(folder: Path) -> str:
    with new_artifact(folder / "model", kind="checkpoint") as draft:
        (draft.directory / "model.safetensors").touch()
        description = {"kind": "pretrained", "step": 0, "model": {"vocab_size": 257}}
        write_json(draft.directory / "config.json", description)
    return draft.artifact.path


def check(name: str, *settings: str) -> None:
    check_flow(FLOWS[name], load_config(settings=settings))


@pytest.mark.parametrize("name", ["run", "prepare", "pretrain", "evaluate", "compare-tokenizers"])
def test_the_samples_are_enough_for_most_flows(home: Path, name: str) -> None:
    check(name)
    assert not home.exists()


def test_a_given_checkpoint_makes_the_text_unnecessary(home: Path, tmp_path: Path) -> None:
    model = f"checkpoint={checkpoint(tmp_path)}"
    check("classify", model, "source=nowhere")
    with pytest.raises(ConfigError, match="'nowhere' is neither a file"):
        check("evaluate", model, "source=nowhere")
    with pytest.raises(ConfigError, match="'nowhere' is neither a file"):
        check("classify", "source=nowhere")


def test_an_artifact_of_another_kind_is_refused(home: Path, tmp_path: Path) -> None:
    model = checkpoint(tmp_path)
    with pytest.raises(DataError, match="is a checkpoint artifact, but a tokenizer artifact"):
        check("compare-tokenizers", f"comparison.tokenizers={model}")
    with pytest.raises(DataError, match="cannot be a checkpoint artifact"):
        check("release", "checkpoint=nowhere")


def test_a_release_must_be_a_folder_with_files_or_on_a_hub(home: Path, tmp_path: Path) -> None:
    check("import-gpt2", "gpt2.source=hub:openai-community/gpt2")
    with pytest.raises(ConfigError, match=r"gpt2\.source must be a directory"):
        check("import-gpt2", "gpt2.source=nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty"):
        check("import-gpt2", f"gpt2.source={tmp_path / 'empty'}")
    with pytest.raises(ConfigError, match=r"gpt2\.source must be a directory"):
        check("classify", "checkpoint=gpt2", "gpt2.source=nowhere")


def test_a_table_is_read_only_by_the_flow_that_needs_it(home: Path, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("message,kind\nhello,ham\n")
    (tmp_path / "list.json").write_text('[{"question": "a"}]')
    config = load_config(
        settings=[
            f"classification.source={tmp_path / 'table.csv'}",
            f"instruction.source={tmp_path / 'list.json'}",
        ]
    )
    check_tables(FLOWS["pretrain"], config)
    with pytest.raises(DataError, match="has no column 'text'"):
        check_tables(FLOWS["classify"], config)
    with pytest.raises(DataError, match=r"list\.json"):
        check_tables(FLOWS["instruct"], config)


def test_a_home_that_is_a_file_is_refused(home: Path) -> None:
    home.touch()
    with pytest.raises(DataError, match=r"home is a file: set GPTFLOW_HOME"):
        check_home()


def test_a_store_that_is_not_there_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder file:///.*/none: create it"):
        check("prepare", f"store.uri={(tmp_path / 'none').as_uri()}")
    check("prepare", f"store.uri={tmp_path.as_uri()}")
