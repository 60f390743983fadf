"""Every setting, typed as a user would type it: it loads, or the answer is one sentence."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Union, get_args, get_origin, get_type_hints

import pytest

from gpt_core.config import PRESETS, RunConfig, load_config
from gpt_core.config.section import Section
from gpt_core.errors import ConfigError

JUNK = (
    "", "none", "true", "'text'", "word with spaces", "-1", "0", "0.5", "1.0", "nan", "-inf",
    "1e999", f"1{'0' * 30}", f"1{'0' * 5000}", "2026-11-26", "07:00:00", "[]", "[1, 'a']", "[[]]",
    "['a', 'a']", "{}", "{a = 1}", "[" * 3000, "1\nother = 2", "'\\u0000'", "\0", "\ud800",
)  # fmt: skip


def fields() -> Iterator[tuple[str, object]]:
    """Each setting by its key, with its type."""
    hints = get_type_hints(RunConfig)
    for field in dataclasses.fields(RunConfig):
        hint = hints[field.name]
        if isinstance(hint, type) and issubclass(hint, Section):
            inner = get_type_hints(hint)
            for each in dataclasses.fields(hint):
                yield f"{field.name}.{each.name}", inner[each.name]
        else:
            yield field.name, hint


FIELDS = dict(fields())


def get(config: RunConfig, key: str) -> object:
    value: object = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def as_toml(value: object) -> str:
    """A value as TOML writes it; JSON's texts, lists and numbers are TOML's."""
    return json.dumps(value, ensure_ascii=False)


def load_setting(key: str, text: str, tmp_path: Path) -> RunConfig:
    """Load the command-line form of a setting."""
    return load_config("tiny", settings=[f"{key}={text}"])


def load_text(key: str, text: str, tmp_path: Path) -> RunConfig:
    """Load a file in which a setting has a value."""
    file = tmp_path / "run.toml"
    file.write_text(f"{key} = {text}\n", encoding="utf-8", errors="replace")
    return load_config("tiny", file)


@pytest.mark.parametrize("preset", PRESETS)
def test_setting_a_field_to_its_value_changes_nothing(preset: str, tmp_path: Path) -> None:
    expected = load_config(preset)
    for key in FIELDS:
        value = get(expected, key)
        text = "none" if value is None else as_toml(value)
        assert load_config(preset, settings=[f"{key}={text}"]) == expected, key
        if preset == "tiny" and value is not None:
            assert load_text(key, text, tmp_path) == expected, key


def options(hint: object) -> tuple[object, ...]:
    """The choices of a Literal, also of one that may be None."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) is Union:
        return tuple(option for each in get_args(hint) for option in options(each))
    return ()


CHOICES = [(key, str(option)) for key, hint in FIELDS.items() for option in options(hint)]


@pytest.mark.parametrize(("key", "option"), CHOICES)
def test_every_choice_can_be_typed_bare(key: str, option: str) -> None:
    settings = [f"{key}={option}"]
    if key == "tokenizer.kind":
        settings.append(f"tokenizer.vocab_size={'none' if option in ('byte', 'gpt2') else 300}")
    if option == "dask":
        settings.append("engine.address=tcp://127.0.0.1:8786")
    assert get(load_config("tiny", settings=settings), key) == option


def test_the_size_of_a_gpt2_release_can_be_typed_as_the_readme_says(project_root: Path) -> None:
    readme = (project_root / "README.md").read_text(encoding="utf-8")
    for size in ("124M", "355M", "774M", "1558M"):
        assert size in readme
        assert load_config("tiny", settings=[f"gpt2.size={size}"]).gpt2.size == size
    assert load_config("tiny", settings=["gpt2.size=none"]).gpt2.size is None


@pytest.mark.parametrize("key", FIELDS)
def test_any_value_loads_or_is_one_sentence(key: str, tmp_path: Path) -> None:
    for text in JUNK:
        for load in (load_setting, load_text):
            try:
                config = load(key, text, tmp_path)
            except ConfigError as error:
                assert str(error)
                assert "\n" not in str(error), text
            else:
                json.dumps(dataclasses.asdict(config), allow_nan=False)
                assert type(get(config, key)) in scalar_types(FIELDS[key]), text


def scalar_types(hint: object) -> set[type]:
    """The Python types that a field may hold."""
    if isinstance(hint, type):
        return {hint}
    if get_origin(hint) is tuple:
        return {tuple}
    if get_origin(hint) is Literal:
        return {str}
    return {kind for each in get_args(hint) for kind in scalar_types(each)}


@pytest.mark.parametrize("key", FIELDS)
def test_a_value_of_the_wrong_type_names_the_setting_and_the_type(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("tiny", settings=[f"{key}={{a = 1}}"])
    assert key in str(caught.value)
    assert "must be" in str(caught.value)
