"""Prompt templates for instructions."""

from dataclasses import dataclass
from pathlib import Path

from gpt_core.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A prompt for instructions with an input and one for those without."""

    with_input: str
    without_input: str

    def format(self, instruction: str, context: str = "") -> str:
        """Format a prompt, which ends where the answer begins.

        Args:
            instruction: The task.
            context: The input of the task; may be empty.
        """
        if context.strip():
            return self.with_input.format(instruction=instruction, input=context)
        return self.without_input.format(instruction=instruction)


ALPACA = PromptTemplate(
    with_input=(
        "Below is an instruction that describes a task, paired with an input that provides "
        "further context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
    ),
    without_input=(
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
    ),
)
"""The template of Stanford Alpaca (Taori et al. 2023)."""

SHORT = PromptTemplate(
    with_input="### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n",
    without_input="### Instruction:\n{instruction}\n\n### Response:\n",
)
"""Alpaca's headings without its preamble, for short context lengths."""

TEMPLATES = {"alpaca": ALPACA, "short": SHORT}
"""The templates by name."""


def find_template(name: str | None, file: Path) -> PromptTemplate | None:
    """The template that a checkpoint's description names; None if it names none.

    Args:
        name: Its name.
        file: The description, for the error.

    Raises:
        CheckpointError: If there is no template of that name.
    """
    if name is None or name in TEMPLATES:
        return TEMPLATES.get(name or "")
    known = ", ".join(sorted(TEMPLATES))
    raise CheckpointError(f"{file}: template must be one of {known}, got {name!r}")
