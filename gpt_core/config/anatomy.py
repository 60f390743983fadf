"""Settings of the anatomy: the text that is followed through a model."""

from dataclasses import dataclass

from gpt_core.config.checks import require, require_at_least
from gpt_core.config.section import Section


@dataclass(frozen=True, kw_only=True, slots=True)
class AnatomyConfig(Section):
    """A text that is followed through a model, chapter by chapter."""

    text: str | None = None
    """The sentence, or the instruction of a model that follows instructions; by default one that
    the model wrote while it was trained, or an English one."""

    new_tokens: int = 12
    """Length of the continuations that are compared, in tokens."""

    notebooks: str | None = None
    """A folder that gets each chapter as a Jupyter notebook as well."""

    def __post_init__(self) -> None:
        require(
            self.text is None or bool(self.text.strip()),
            "text is empty: give at least one word, or leave it out",
        )
        require(
            self.notebooks is None or bool(self.notebooks.strip()), "notebooks must name a folder"
        )
        require_at_least(self, 1, "new_tokens")
