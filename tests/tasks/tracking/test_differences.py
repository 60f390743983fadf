"""The preset that is nearest to a run's settings, and the settings that differ from it."""

from gpt_core.artifact import to_json_value
from gpt_core.config import PRESETS, load_config
from tasks.tracking.differences import find_difference
from tasks.tracking.params import flatten


def params(preset: str, *settings: str) -> dict[str, str]:
    tree = to_json_value(load_config(preset, settings=settings))
    assert isinstance(tree, dict)
    return flatten(tree)


def test_a_preset_itself_differs_in_nothing() -> None:
    for preset in PRESETS:
        found = find_difference(params(preset, "name=another"))
        assert found.tags() == {"preset": preset, "differs": "nothing"}
    assert found.sentence("run") == f"`run` with the preset `{preset}`, without changes"


def test_changes_are_named_against_the_nearest_preset() -> None:
    changed = params("hadith", "training.steps=50", "source=mine.txt")
    found = find_difference(changed)
    assert found.tags() == {"preset": "hadith", "differs": "source=mine.txt, training.steps=50"}
    only_text = {name: changed[name] for name in ("name", "source", "cleaning.language")}
    assert find_difference(only_text).text() == "source=mine.txt", "only what a flow reads"
