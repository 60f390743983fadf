"""A preset, a file and settings give one checked configuration, or one sentence."""

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gpt_core.config import PRESETS, BigramConfig, RunConfig, build_config, load_config
from gpt_core.errors import ConfigError


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid_and_has_its_name(preset: str) -> None:
    assert load_config(preset).name == preset


def test_later_sources_override_earlier_ones(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('name = "mine"\n[training]\nsteps = 400\nlog_every = 5\n')
    config = load_config("tiny", file, ["training.steps=500", "source=some/path.txt"])
    assert (config.name, config.source) == ("mine", "some/path.txt")
    assert (config.training.steps, config.training.log_every) == (500, 5)
    assert config.model == load_config("tiny").model


def test_values_are_converted_to_the_type_of_their_field() -> None:
    settings = ["optimizer.learning_rate=1", "loader.stride=none", "source=7", "model.bias=false"]
    config = load_config("tiny", settings=[*settings, "evaluation.prompts=['a', 'b']"])
    assert config.optimizer.learning_rate == 1.0
    assert isinstance(config.optimizer.learning_rate, float)
    assert config.loader.stride is None
    assert config.source == "7"
    assert config.model.bias is False
    assert config.evaluation.prompts == ("a", "b")
    assert load_config("tiny", settings=["evaluation.prompts=once"]).evaluation.prompts == ("once",)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("training.stps=3", "there is no setting training.stps; did you mean training.steps?"),
        ("training.precision=fp32", "training.precision; did you mean compute.precision or "),
        ("training.fit_memory=true", "training.fit_memory; did you mean compute.fit_memory?"),
        ("xyzzy.a=3", "there is no setting xyzzy; there are name, source"),
        ("model.n_embd=130", "model.n_embd (130) must be a multiple of n_head (4): try n_embd=128"),
        ("training.steps=abc", "training.steps must be a whole number, got 'abc'"),
        ("training.steps=true", "training.steps must be a whole number, got True"),
        ("training.steps=0", "training.steps must be at least 1, got 0"),
        ("model.bias=1", "model.bias must be true or false, got 1"),
        ("model=3", "model is a section: set its fields, such as model.n_layer=..."),
        ("model.dropout=1.5", "model.dropout must be in [0, 1), got 1.5"),
        ("optimizer.learning_rate=-1", "optimizer.learning_rate must be greater than 0, got -1.0"),
        ("optimizer.learning_rate=[1]", "optimizer.learning_rate must be a number, got [1]"),
        ("training.tokens_per_step=100", "try training.tokens_per_step=4096"),
        (
            "schedule.warmup_steps=9999",
            "must not exceed training.steps (300): try schedule.warmup_steps=30",
        ),
        ("schedule.final_ratio=2", "schedule.final_ratio must be in [0, 1], got 2.0"),
        ("schedule.kind=cosin", "schedule.kind must be one of cosine"),
        ("generation.top_p=0", "generation.top_p must be in (0, 1], got 0"),
        ("cleaning.test_share=0.96", "must leave text to train on"),
        ("tokenizer.vocab_size=100", "tokenizer.vocab_size must be at least 261"),
        ("tokenizer.character_coverage=0", "tokenizer.character_coverage must be in (0, 1]"),
        ("classification.test_share=0.95", "validation_share + test_share must be below 1"),
        ("instruction.test_share=0.97", "validation_share + test_share must be below 1"),
        ("name='a b'", "name must be ASCII letters, digits"),
        ("name=''", "name must be ASCII letters, digits"),
        ("nonsense", "'nonsense' is not a setting: write section.field=value"),
        ("=3", "'=3' is not a setting: write section.field=value"),
        ("optimizer.learning_rate=inf", "optimizer.learning_rate must be a number, got inf"),
        (f"training.steps=1{'0' * 30}", "training.steps must be a number of at most 64 bits"),
        ("gpt2.size=125M", "gpt2.size must be one of 124M, 355M, 774M, 1558M, got '125M'"),
        ("model.dropout=1.0", "model.dropout must be in [0, 1), got 1.0"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_sentence(setting: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)) as caught:
        load_config("tiny", settings=[setting])
    assert "\n" not in str(caught.value)


def test_a_required_setting_that_is_missing_is_named() -> None:
    assert build_config(BigramConfig, {"vocab_size": 5}) == BigramConfig(vocab_size=5)
    with pytest.raises(ConfigError, match="the setting vocab_size is missing"):
        build_config(BigramConfig, {})


def test_a_file_and_settings_merge_field_by_field(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[model]\ndropout = 0.5\n")
    config = load_config("tiny", file, ["model.bias=false", "loader={seed = 3, shuffle = false}"])
    assert (config.model.dropout, config.model.bias) == (0.5, False)
    assert (config.loader.seed, config.loader.shuffle) == (3, False)
    assert config.model.n_layer == load_config("tiny").model.n_layer


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="there is no preset 'hadit'; did you mean hadith"):
        load_config("hadit")


@pytest.mark.parametrize(
    ("content", "sentence"), [(None, "does not exist"), ("a = [", "is not valid TOML")]
)
def test_an_unreadable_file_is_one_sentence(
    tmp_path: Path, content: str | None, sentence: str
) -> None:
    file = tmp_path / "run.toml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=sentence):
        load_config("tiny", file)


@given(st.text(max_size=40))
def test_any_setting_gives_a_configuration_or_a_sentence(setting: str) -> None:
    try:
        config = load_config("tiny", settings=[setting])
    except ConfigError as error:
        assert str(error)
    else:
        assert dataclasses.is_dataclass(config)


def test_pretraining_depends_on_its_sections_alone() -> None:
    plain = load_config("tiny").pretrain
    assert load_config("tiny", settings=["classification.epochs=9"]).pretrain == plain
    assert load_config("tiny", settings=["model.dropout=0.5"]).pretrain != plain
    assert plain.micro_batches_per_step == 1


def test_the_defaults_are_a_valid_run() -> None:
    assert RunConfig().pretrain.micro_batches_per_step == 1


def test_a_form_refuses_unknown_fields_and_shows_what_each_one_means() -> None:
    form = TypeAdapter(RunConfig)
    schema = form.json_schema()["$defs"]["ScheduleConfig"]
    assert "linear rise" in schema["properties"]["warmup_steps"]["description"]
    with pytest.raises(ValidationError, match=r"training\.stepss"):
        form.validate_python({"training": {"stepss": 5}})


def test_half_of_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(ConfigError, match=r"evaluation.prompts must be Unicode text"):
        load_config(settings=["evaluation.prompts=caf\udce9"])
