"""Every flow, declared once: its command, checks, form, plan and records follow from this.

Importing a flow's function imports torch and Prefect, so each declaration has a function that does
it when the flow is needed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import get_args

from flows import commands
from flows.sections import SECTIONS, sections_read
from gpt_core.artifact import Artifact
from gpt_core.config import Benchmark, PretrainConfig, RunConfig
from gpt_core.errors import ConfigError
from tasks.reads import Given, Read, Release, Source, answers_read, named_checkpoint

FlowResult = Artifact | dict[str, Artifact]
FlowFunction = Callable[[RunConfig], Artifact] | Callable[[RunConfig], dict[str, Artifact]]

TEXT = ("source", "reading", "cleaning", "tokenizer", "shards", "engine")
"""The settings that turn raw text into token shards."""

PRETRAINING = (*(section.name for section in fields(PretrainConfig)), "launch")
"""The settings that turn token shards into a model."""

COMMON = ("limits", "notify", "tracking", "store", "plan")
"""The settings that hold for every flow; ``flows.running`` applies them, not its function."""

_MAKING_MODELS = frozenset({"model", "gpt2", "classification", "instruction", "preference"})
"""A flow that reads one of these sections registers models."""

FIRST = (
    "source", "checkpoint", "predict", "classification", "instruction", "preference", "benchmarks",
    "comparison", "gpt2", "training", "model", "tokenizer", "optimizer", "schedule", "lora",
    "evaluation", "generation",
)  # fmt: skip
"""The settings that are changed most, which forms show before the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """A flow's declaration.

    Raises:
        ValueError: If ``sections`` names one that ``RunConfig`` does not have.
    """

    name: str
    """The command; with ``_`` for ``-`` the name of the function and of its module."""

    help: str
    """One line for ``gptflow --help`` and the deployment's page."""

    load: Callable[[], FlowFunction]
    """Imports the function; call ``function`` instead."""

    reads: Callable[[RunConfig], Iterable[Read]]
    """Everything that the flow reads from outside, checked before anything starts."""

    sections: tuple[str, ...]
    """The sections and fields of ``RunConfig`` that the flow reads."""

    makes_checkpoint: bool = False
    """The flow starts from the model in ``checkpoint`` and makes it first if it is not given; the
    settings for that need not be named in ``reads`` and ``sections``."""

    aliases: dict[str, str] = field(default_factory=dict)
    """Settings that may be given by a short name, as ``size=`` for ``gpt2.size=``."""

    options: dict[str, str] = field(default_factory=dict)
    """Settings that may also be given as an option, as ``--checkpoint DIR`` for ``checkpoint=``."""

    text: str | None = None
    """The setting that an argument which is no setting gives, such as a sentence."""

    reads_classifiers: bool = False
    """The checkpoint that it reads may be a classifier's."""

    def __post_init__(self) -> None:
        unknown = set(self.sections) - SECTIONS
        if unknown:
            raise ValueError(f"flow {self.name}: RunConfig has no {', '.join(sorted(unknown))}")

    def resolve_alias(self, setting: str) -> str:
        """Write out a setting that is given by a short name.

        Example:
            >>> FLOWS["import-gpt2"].resolve_alias("size=124M")
            'gpt2.size=124M'
        """
        name, equals, value = setting.partition("=")
        return f"{self.aliases.get(name, name)}{equals}{value}"

    def reads_setting(self, setting: str) -> bool:
        """Whether the flow reads a setting.

        Example:
            >>> FLOWS["pretrain"].reads_setting("lora.rank=2")
            False
        """
        name = setting.partition("=")[0].partition(".")[0].strip()
        return name == "name" or name in self.form_sections

    def function(self) -> FlowFunction:
        """Import the flow's function.

        Raises:
            ValueError: If its name is not the flow's, or it reads other sections than are declared.
        """
        function = self.load()
        if function.__name__ != self.name.replace("-", "_"):
            raise ValueError(f"flow {self.name} has a function named {function.__name__}")
        read = sections_read(function) - {"name"}
        declared = {*self.form_sections} - {*self.common_sections}
        if read != declared:
            differing = ", ".join(sorted(read ^ declared))
            raise ValueError(f"flow {self.name} reads or declares {differing}, but not both")
        return function

    @property
    def form_sections(self) -> tuple[str, ...]:
        """The sections of the flow's form, with those that make a checkpoint; common ones first."""
        making = ("checkpoint", *TEXT, *PRETRAINING, "gpt2") if self.makes_checkpoint else ()
        shown = tuple(dict.fromkeys((*self.sections, *making, *self.common_sections)))
        return (*(each for each in FIRST if each in shown), *(s for s in shown if s not in FIRST))

    @property
    def common_sections(self) -> tuple[str, ...]:
        """The settings that hold for every flow, or for every flow that registers models."""
        makes_models = self.makes_checkpoint or not _MAKING_MODELS.isdisjoint(self.sections)
        return (*COMMON, "registry") if makes_models else COMMON

    def sections_used(self, config: RunConfig) -> tuple[str, ...]:
        """The sections that the flow reads with this configuration."""
        if not self.makes_checkpoint:
            return (*self.sections, *self.common_sections)
        making = {None: (*TEXT, *PRETRAINING), "gpt2": ("gpt2",)}.get(config.checkpoint, ())
        return tuple(dict.fromkeys(("checkpoint", *self.sections, *making, *self.common_sections)))

    def origin(self, config: RunConfig) -> str:
        """The source of a run, or what it has in place of one."""
        if self.text is not None:
            return str(config.checkpoint or "the newest checkpoint")
        if "judge" in self.sections and "source" not in self.form_sections:
            return str(config.judge.answers or config.checkpoint)
        if config.checkpoint is not None and "source" not in self.sections_used(config):
            return config.checkpoint
        return config.source

    def all_reads(self, config: RunConfig) -> list[Read]:
        """Everything the flow reads with this configuration, to make a missing checkpoint too."""
        making: list[Read] = []
        if self.makes_checkpoint and config.checkpoint is None:
            making = [Source(config.source)]
        elif self.makes_checkpoint and config.checkpoint == "gpt2":
            making = [Release()]
        elif self.makes_checkpoint:
            making = [Given(str(config.checkpoint), "checkpoint")]
        held = config.cleaning.contamination
        if held is not None and "cleaning" in self.sections_used(config):
            making.append(Source(held, "contamination"))
        return list(dict.fromkeys((*making, *self.reads(config))))


def index_by_name(*flows: Flow) -> dict[str, Flow]:
    """Every flow by its name.

    Raises:
        ValueError: If a module of ``flows.commands`` has no flow, or a flow has no module.
    """
    modules = {module.name.replace("_", "-") for module in iter_modules(commands.__path__)}
    declared = {flow.name: flow for flow in flows}
    if declared.keys() != modules:
        differing = ", ".join(sorted(declared.keys() ^ modules))
        raise ValueError(f"flows.commands and flows.declarations differ in {differing}")
    return declared


def _load(name: str) -> FlowFunction:
    """Import the function of a command from the module of its name."""
    function: FlowFunction = getattr(import_module(f"flows.commands.{name}"), name)
    return function


def _text(config: RunConfig) -> list[Read]:
    return [Source(config.source)]


def _messages(config: RunConfig) -> list[Read]:
    examples = config.classification
    names = [examples.source, *examples.held_sources().values()]
    return [Source(name, "classification") for name in names]


def _classifiers(config: RunConfig) -> list[Read]:
    return [
        *_messages(config),
        *(Given(each, "checkpoint") for each in config.ablation.checkpoints),
    ]


def _instructions(config: RunConfig) -> list[Read]:
    examples = config.instruction
    names = [examples.source, *examples.held_sources().values()]
    return [*(Source(name, "instruction") for name in names), *_other_answers(config)]


def _other_answers(config: RunConfig) -> list[Read]:
    judge = config.judge
    return [answers_read(judge.against)] if judge.url and judge.against else []


def _answers(config: RunConfig) -> list[Read]:
    if config.judge.url is None:
        raise ConfigError(
            "judge.url must be the address of a judge, such as http://127.0.0.1:11434/v1, and "
            "judge.model its name there"
        )
    if (config.judge.answers is None) == (config.checkpoint is None):
        raise ConfigError(
            "give the answers: either --checkpoint DIR of a model that gptflow instruct made, or "
            "--answers FILE"
        )
    if config.judge.answers is not None:
        return [Source(config.judge.answers, "answers"), *_other_answers(config)]
    return [Given(str(config.checkpoint), "checkpoint"), *_other_answers(config)]


def _predicted(config: RunConfig) -> list[Read]:
    if config.checkpoint in (None, "gpt2"):
        raise ConfigError(
            "give the model: --checkpoint DIR, or --checkpoint models:/NAME@ALIAS of a registered "
            "one"
        )
    return [Given(str(config.checkpoint), "checkpoint"), Source(config.source, "prediction")]


def _dissected(config: RunConfig) -> list[Read]:
    return [named_checkpoint(config.checkpoint)]


def _preferences(config: RunConfig) -> list[Read]:
    return [Source(config.preference.source, "preference")]


def _tokenizers(config: RunConfig) -> list[Read]:
    candidates = config.comparison.candidates(config.tokenizer).values()
    given = [Given(str(each), "tokenizer") for each in candidates if isinstance(each, Path)]
    return [*given, Source(config.source)]


def _benchmarks(config: RunConfig) -> list[Read]:
    checkpoints, sources = config.benchmarks.checkpoints, config.benchmarks.sources()
    if not checkpoints:
        raise ConfigError("benchmarks.checkpoints must name at least one checkpoint's directory")
    if not sources:
        *others, last = get_args(Benchmark)
        names = f"{', '.join(others)} and {last}"
        raise ConfigError(f"benchmarks needs one of {names}, with a file's path")
    models = [Release() if each == "gpt2" else Given(each, "checkpoint") for each in checkpoints]
    return [*models, *(Source(source, name) for name, source in sources.items())]


FLOWS = index_by_name(
    Flow(
        name="run",
        help="The whole pipeline, from raw text to fine-tuned models.",
        load=partial(_load, "run"),
        reads=lambda config: [*_text(config), *_messages(config), *_instructions(config)],
        sections=(
            *TEXT, "evaluation", "generation", "classification", "instruction", "lora", "judge",
        ),
        makes_checkpoint=True,
    ),
    Flow(
        name="prepare",
        help="Raw text to token shards.",
        load=partial(_load, "prepare"),
        reads=_text,
        sections=TEXT,
    ),
    Flow(
        name="compare-tokenizers",
        help="Several tokenizers on one corpus, side by side.",
        load=partial(_load, "compare_tokenizers"),
        reads=_tokenizers,
        sections=("comparison", "source", "reading", "cleaning", "tokenizer", "engine"),
    ),
    Flow(
        name="pretrain",
        help="Raw text to a pretrained model.",
        load=partial(_load, "pretrain"),
        reads=_text,
        sections=(*TEXT, *PRETRAINING),
    ),
    Flow(
        name="import-gpt2",
        help="A GPT-2 release to a checkpoint.",
        load=partial(_load, "import_gpt2"),
        reads=lambda config: [Release()],
        sections=("gpt2",),
        aliases={"size": "gpt2.size"},
    ),
    Flow(
        name="evaluate",
        help="A model to a report.",
        load=partial(_load, "evaluate"),
        reads=_text,
        sections=(*TEXT, "evaluation", "generation"),
        makes_checkpoint=True,
    ),
    Flow(
        name="compare-models",
        help="Several checkpoints on public benchmarks, side by side.",
        load=partial(_load, "compare_models"),
        reads=_benchmarks,
        sections=("benchmarks", "gpt2"),
    ),
    Flow(
        name="release",
        help="A model to a directory that transformers opens.",
        load=partial(_load, "release"),
        reads=lambda config: [],
        sections=(),
        makes_checkpoint=True,
    ),
    Flow(
        name="classify",
        help="Fine-tune a text classifier.",
        load=partial(_load, "classify"),
        reads=_messages,
        sections=("classification", "lora"),
        makes_checkpoint=True,
    ),
    Flow(
        name="classify-table",
        help="Ways of fine-tuning a classifier, side by side.",
        load=partial(_load, "classify_table"),
        reads=_classifiers,
        sections=("ablation", "classification", "lora"),
        makes_checkpoint=True,
    ),
    Flow(
        name="instruct",
        help="Fine-tune on instructions.",
        load=partial(_load, "instruct"),
        reads=_instructions,
        sections=("instruction", "lora", "judge"),
        makes_checkpoint=True,
    ),
    Flow(
        name="judge",
        help="Have another model score answers.",
        load=partial(_load, "judge"),
        reads=_answers,
        sections=("checkpoint", "judge"),
        options={"checkpoint": "checkpoint", "answers": "judge.answers"},
    ),
    Flow(
        name="predict",
        help="The rows of a file to a model's predictions.",
        load=partial(_load, "predict"),
        reads=_predicted,
        sections=("checkpoint", "source", "predict", "generation"),
        aliases={"out": "predict.out"},
        options={"checkpoint": "checkpoint", "adapter": "predict.adapter"},
        reads_classifiers=True,
    ),
    Flow(
        name="anatomy",
        help="A sentence followed through a model, as a page.",
        load=partial(_load, "anatomy"),
        reads=_dissected,
        sections=("anatomy", "checkpoint", "cleaning"),
        options={"checkpoint": "checkpoint", "notebooks": "anatomy.notebooks"},
        text="anatomy.text",
        reads_classifiers=True,
    ),
    Flow(
        name="prefer",
        help="Tune on pairs of a better and a worse answer (DPO).",
        load=partial(_load, "prefer"),
        reads=_preferences,
        sections=("preference", "lora"),
        makes_checkpoint=True,
    ),
)  # fmt: skip
"""Every flow by its name."""
