"""The preset that is nearest to a run's settings, and the settings that differ from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpt_core.artifact import to_json_value
from gpt_core.config import PRESETS, load_config
from tasks.tracking.params import flatten, shorten

_NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Difference:
    """A preset, and the settings that differ from it."""

    preset: str
    changes: Mapping[str, str]

    def text(self) -> str:
        """The changes as settings of the command line, or ``nothing``."""
        return ", ".join(f"{name}={value}" for name, value in self.changes.items()) or _NOTHING

    def tags(self) -> dict[str, str]:
        """The tags of the run that say so."""
        return {"preset": self.preset, "differs": shorten(self.text())}

    def sentence(self, flow: str) -> str:
        """The first line of the run's text in MLflow."""
        changed = shorten(self.text()) if self.changes else "without changes"
        return f"`{flow}` with the preset `{self.preset}`, {changed}"


def find_difference(params: Mapping[str, str]) -> Difference:
    """The preset from which the fewest settings differ, and those settings.

    Args:
        params: The flattened settings that the run reads.
    """
    every = [Difference(preset, _changes(params, preset)) for preset in PRESETS]
    return min(every, key=lambda difference: len(difference.changes))


def _changes(params: Mapping[str, str], preset: str) -> dict[str, str]:
    tree = to_json_value(load_config(preset))
    assert isinstance(tree, dict)
    default = flatten(tree)
    return {
        name: value
        for name, value in params.items()
        if name != "name" and default.get(name) != value
    }
