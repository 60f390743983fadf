"""The table of stages refuses a part that is wrong when it is declared."""

import pytest

import gpt_core.text
from gpt_core.manifest import KINDS
from tasks import stages
from tasks.paths import FOLDERS
from tasks.specs import STAGES, StageSpec, register


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (("clean_corpus", "texts", "documents"), "there is no package gpt_core.texts"),
        (("clean", "text", "documents"), "gpt_core.text does not export it"),
        (("clean_corpus", "text", "corpus"), "kind must be one of raw, .*, got 'corpus'"),
    ],
)
def test_a_wrong_part_is_an_error(spec: tuple[str, str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        StageSpec(*spec)


def test_a_second_stage_of_a_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="there are two stages named clean_corpus"):
        register(StageSpec("clean_corpus", "text", "documents"))
    assert STAGES["clean_corpus"] is stages.clean_corpus.spec


def test_every_kind_of_artifact_has_a_folder() -> None:
    assert set(FOLDERS) == set(KINDS) - {"progress"}, "which is in its model's directory"
    assert len(set(FOLDERS.values())) == len(FOLDERS)


def test_a_stage_has_the_name_of_the_core_function_it_runs() -> None:
    assert STAGES["clean_corpus"].package == gpt_core.text.__name__.removeprefix("gpt_core.")
    assert all(name in vars(stages) for name in STAGES)
