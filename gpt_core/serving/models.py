"""The models of a server by their names: language models with their engines, and classifiers."""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gpt_core.artifact import Artifact, read_artifact, verify
from gpt_core.checkpoints import (
    CONFIG,
    TOKENIZER,
    CheckpointDescription,
    is_training_state,
    read_description,
)
from gpt_core.errors import ConfigError
from gpt_core.serving.errors import ApiError, busy
from gpt_core.serving.metrics import Metrics
from gpt_core.serving.scheduler import Scheduler
from gpt_core.serving.settings import ServingConfig

if TYPE_CHECKING:
    from gpt_core.data.prompts import PromptTemplate
    from gpt_core.prediction import Classified, TextClassifier
    from gpt_core.tokenizers import Tokenizer

logger = logging.getLogger(__name__)

_CLASSIFIED_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """Attributes of every served model."""

    name: str
    checkpoint: Artifact
    source: str
    """The directory or the address in a registry that it was served as."""

    description: CheckpointDescription
    tokenizer: "Tokenizer"
    loaded: int = field(default_factory=lambda: int(time.time()))

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the checkpoint, which says which model has answered."""
        return self.checkpoint.fingerprint

    @property
    def context_length(self) -> int:
        """Tokens that a prompt and its answer may have together."""
        return self.description.model.context_length

    def close(self) -> None:
        """Finish what runs and waits, then let the model go."""

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of the model's thread after ``close``; whether it came in time."""
        return True


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageModel(Model):
    """A model that continues texts, and the scheduler of its engine."""

    scheduler: Scheduler
    template: "PromptTemplate | None"
    """The template of a model that was tuned on instructions."""

    def close(self) -> None:
        """Finish what runs and waits, then let the model go."""
        self.scheduler.close()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of the model's thread after ``close``; whether it came in time."""
        return self.scheduler.join(timeout)


@dataclass(frozen=True, kw_only=True, slots=True)
class Classifier(Model):
    """A model that gives each text the probabilities of its labels.

    Python itself waits for the executor's thread before it ends.
    """

    classifier: "TextClassifier"
    executor: ThreadPoolExecutor
    max_waiting: int

    @property
    def labels(self) -> list[str]:
        """The label of each class."""
        return self.classifier.labels

    async def classify(self, texts: Sequence[str]) -> "Classified":
        """Compute the probabilities of the labels of each text.

        Raises:
            ApiError: If too many requests wait already.
        """
        if self.executor._work_queue.qsize() >= self.max_waiting:
            raise busy("the queue is full: try again later", "queue_full", 429)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, self.classifier.classify, texts)


Kind = TypeVar("Kind", LanguageModel, Classifier, Model)


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A checkpoint to serve."""

    name: str
    checkpoint: Artifact
    source: str


def given_checkpoint(path: Path, name: str | None = None) -> Given:
    """A checkpoint's directory as a model to serve, every file checked.

    Args:
        path: The directory.
        name: The model's name; by default the directory's, or the run's of a step.

    Raises:
        DataError: If it is no checkpoint, or was altered.
        CheckpointError: If its description cannot be read.
    """
    checkpoint = read_artifact(path, "checkpoint")
    verify(checkpoint, skip=[*filter(is_training_state, checkpoint.manifest().files)])
    read_description(path)
    named = path.resolve()
    plain = named.parent.name if named.name.startswith("step-") else named.name
    return Given(name=name or plain, checkpoint=checkpoint, source=str(path))


class Models:
    """The served models. Reading is for the event loop, ``load`` and ``replace`` for any thread.

    Args:
        given: What to serve; the first one answers requests that name none.
        config: Slots and queue of each model.
        metrics: Watch the models.

    Raises:
        ConfigError: If two have the same name.
    """

    def __init__(self, given: Sequence[Given], config: ServingConfig, metrics: Metrics) -> None:
        names = [each.name for each in given]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ConfigError(f"two models have the name {twice!r}: give each one with --name")
        self._given, self._config, self._metrics = list(given), config, metrics
        self._loaded: dict[str, Model] = {}
        self._retired: list[Model] = []
        self._replacing = threading.Lock()
        self._closed = False
        self.names = names

    def load(self, loop: asyncio.AbstractEventLoop) -> None:
        """Load every model.

        Raises:
            GPTCoreError: If one cannot be used.
        """
        self._loop = loop
        for given in self._given:
            self._put(given.name, self._build(given))

    def replace(self, given: Given) -> None:
        """Serve another checkpoint under a name; what runs on the one before it is finished.

        Raises:
            GPTCoreError: If it cannot be used; the one before it is still served then.
        """
        with self._replacing:
            made = self._build(given)
            before = self._loaded[given.name]
            self._retired = [each for each in (*self._retired, before) if not each.join(0)]
            self._put(given.name, made)
            before.close()
        logger.info("%s is now %s", given.name, given.source)

    def find(self, name: str | None, kind: type[Kind]) -> Kind:
        """The model of a name, or the first of that kind.

        Raises:
            ApiError: If there is none, or it is not loaded yet.
        """
        if name is not None and name not in self.names:
            raise ApiError(
                404, f"there is no model {name!r:.100}; there are {', '.join(self.names)}",
                param="model", code="model_not_found",
            )  # fmt: skip
        if len(self._loaded) < len(self.names) and (name is None or name not in self._loaded):
            raise busy("the model is being loaded", "loading")
        if name is None:
            fitting = [each for each in self._loaded.values() if isinstance(each, kind)]
            found: Model = fitting[0] if fitting else next(iter(self._loaded.values()))
        else:
            found = self._loaded[name]
        if not isinstance(found, kind):
            is_classifier = isinstance(found, Classifier)
            advice = "ask /v1/classify" if is_classifier else "ask /v1/completions"
            what = "a classifier" if is_classifier else "a language model"
            raise ApiError(
                400, f"{found.name} is {what}: {advice}", param="model", code="wrong_kind"
            )
        return found

    def list(self) -> list[Model]:
        """Every loaded model, in the order in which they were given."""
        return [self._loaded[name] for name in self.names if name in self._loaded]

    def problems(self) -> dict[str, str]:
        """Why a model cannot answer, by its name."""
        found = {}
        for name in self.names:
            model = self._loaded.get(name)
            if model is None:
                found[name] = "loading"
            elif isinstance(model, LanguageModel):
                if model.scheduler.failure is not None:
                    found[name] = "dead"
                elif model.scheduler.stalled_seconds() > self._config.stall_seconds:
                    found[name] = "stalled"
        return found

    def close(self) -> None:
        """Admit nothing more, finish the rest."""
        self._closed = True
        for model in tuple(self._loaded.values()):
            model.close()

    def join(self, timeout: float) -> bool:
        """Wait for the ends of all models' threads after ``close``; whether they came in time."""
        until = time.monotonic() + timeout
        models = (*self._loaded.values(), *self._retired)
        return all(each.join(max(0.0, until - time.monotonic())) for each in models)

    def abort(self, message: str) -> None:
        """End every request with an error."""
        for model in (*self._loaded.values(), *self._retired):
            if isinstance(model, LanguageModel):
                model.scheduler.abort(message)

    def _put(self, name: str, model: Model) -> None:
        """Serve a model; one that comes after ``close`` ends at once."""
        self._loaded[name] = model
        if self._closed:
            model.close()
            model.join()

    def _build(self, given: Given) -> Model:
        from gpt_core.tokenizers import load_tokenizer

        directory = given.checkpoint.directory
        description, tokenizer = read_description(directory), load_tokenizer(directory / TOKENIZER)
        if description.kind == "classifier":
            return self._build_classifier(given, description, tokenizer)
        return self._build_language_model(given, description, tokenizer)

    def _build_classifier(
        self, given: Given, description: CheckpointDescription, tokenizer: "Tokenizer"
    ) -> Classifier:
        from gpt_core.prediction import TextClassifier

        return Classifier(
            name=given.name,
            checkpoint=given.checkpoint,
            source=given.source,
            description=description,
            tokenizer=tokenizer,
            classifier=TextClassifier(given.checkpoint.directory, batch_size=_CLASSIFIED_AT_ONCE),
            executor=ThreadPoolExecutor(1, thread_name_prefix="classifier"),
            max_waiting=self._config.queue,
        )

    def _build_language_model(
        self, given: Given, description: CheckpointDescription, tokenizer: "Tokenizer"
    ) -> LanguageModel:
        from gpt_core.data.prompts import find_template
        from gpt_core.execution import resolve_device
        from gpt_core.generation.engine import Engine
        from gpt_core.models import load_model

        config_file = given.checkpoint.directory / CONFIG
        template = find_template(description.template, config_file)
        network = load_model(given.checkpoint.directory, resolve_device("auto"))
        name, config = given.name, self._config

        def make_engine() -> Engine:
            engine = Engine(
                network, n_slots=config.slots, linears=config.weights, steps=config.steps,
                keep_weights=False,
            )  # fmt: skip
            engine.prepare()
            return engine

        scheduler = Scheduler(
            name,
            make_engine,
            config.slots,
            config.queue,
            self._loop,
            config.threads,
        )
        scheduler.start()
        self._metrics.watch(name, lambda: scheduler.n_running, lambda: scheduler.n_waiting)
        return LanguageModel(
            name=name,
            checkpoint=given.checkpoint,
            source=given.source,
            description=description,
            tokenizer=tokenizer,
            scheduler=scheduler,
            template=template,
        )
