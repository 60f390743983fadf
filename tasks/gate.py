"""Compare a candidate with the champion: both are measured on the same text, table or questions.

Language models are compared by bits per byte on held-out text of the candidate, which does not
depend on their tokenizers, and on benchmarks that are asked for; classifiers and instruction
followers on the test part of the candidate's examples. Measurements are kept as reports.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from gpt_core.artifact import Artifact, fingerprint_of, read_artifact
from gpt_core.checkpoints import read_description
from gpt_core.config import (
    Benchmark,
    BenchmarkConfig,
    ClassificationConfig,
    InstructionConfig,
    RunConfig,
    build_config,
)
from gpt_core.errors import DataError
from gpt_core.files import atomic_write_text
from gpt_core.text import iter_texts, register_source
from tasks.caching import source_fingerprint
from tasks.lineage import artifacts_by_fingerprint
from tasks.paths import artifact_dir
from tasks.progress import current_display
from tasks.reads import Source
from tasks.sources import fetch_source

C = TypeVar("C", ClassificationConfig, InstructionConfig)

_NAME = "gate"
_LOWER_IS_BETTER = ("bits_per_byte", "lambada_perplexity", "token_perplexity", "word_perplexity")
_DECIDING: dict[str, tuple[str, ...]] = {
    "held-out text": ("bits_per_byte",),
    "text": ("bits_per_byte",),
    "lambada": ("lambada_accuracy", "lambada_perplexity"),
    "hellaswag": ("hellaswag_normalized", "hellaswag_accuracy"),
    "labelled test": ("accuracy", "f1"),
    "instructions": ("exact_match", "rouge_l"),
}
"""The metrics of each test: the first one in which two models differ decides."""


@dataclass(frozen=True, slots=True)
class Row:
    """A metric of both models."""

    test: str
    metric: str
    candidate: float
    champion: float

    @property
    def gain(self) -> float:
        """The amount by which the candidate is better; negative if it is worse."""
        difference = self.candidate - self.champion
        return -difference if self.metric in _LOWER_IS_BETTER else difference

    @property
    def is_lowest(self) -> bool:
        """Whether both models have the worst possible score, which says nothing for either."""
        return self.metric not in _LOWER_IS_BETTER and self.candidate == self.champion == 0

    def sentence(self) -> str:
        """Both values, such as ``bits_per_byte on held-out text 1.92, the champion's is 1.83``."""
        nothing = ", so that neither can do it" if self.is_lowest else ""
        return (
            f"{self.metric} on {self.test} {self.candidate:.5g}, the champion's is "
            f"{self.champion:.5g}{nothing}"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """All metrics of both models."""

    rows: tuple[Row, ...]

    @property
    def deciding(self) -> tuple[Row, ...]:
        """The row of each test that decides: the first that differs, or the first."""
        found = []
        for test in dict.fromkeys(row.test for row in self.rows):
            own = [row for row in self.rows if row.test == test]
            found.append(next((row for row in own if row.gain), own[0]))
        return tuple(found)

    @property
    def worse(self) -> tuple[Row, ...]:
        """The deciding rows in which the candidate is worse, or as bad as can be.

        One of them is enough to refuse.
        """
        return tuple(row for row in self.deciding if not row.gain >= 0 or self._says_nothing(row))

    def _says_nothing(self, row: Row) -> bool:
        return all(each.is_lowest for each in self.rows if each.test == row.test)


def compare(candidate: Artifact, champion: Artifact, config: RunConfig) -> Verdict:
    """Measure two models of one family on the same tests.

    Args:
        candidate: The model that may become the champion; its held-out text and its test examples
            are those that both are measured on.
        champion: The present champion.
        config: The benchmarks, and how much held-out text is read.

    Raises:
        DataError: If there is nothing that both can be measured on.
    """
    kind = read_description(candidate.directory).kind
    if kind == "classifier":
        tests = {"labelled test": _labelled(candidate)}
    elif kind == "instruction" and not _on_pairs(candidate):
        tests = {"instructions": _instructions(candidate)}
    else:
        tests = _texts(candidate, champion, config)
    rows = []
    for test, measure in tests.items():
        both = [measure(model) for model in (candidate, champion)]
        names = [name for name in _DECIDING[test] if all(name in metrics for metrics in both)]
        rows += [Row(test, name, both[0][name], both[1][name]) for name in names]
    if not rows:
        raise DataError(f"the test part of {candidate.path} is empty, so that nothing can decide")
    return Verdict(tuple(rows))


Measure = Callable[[Artifact], Mapping[str, float]]


def _texts(candidate: Artifact, champion: Artifact, config: RunConfig) -> dict[str, Measure]:
    """The tests of language models."""
    tests: dict[str, Measure] = {}
    max_bytes = config.registry.max_bytes
    text = _held_out(candidate, max_bytes) or _held_out(champion, max_bytes)
    if text is not None:
        plain = replace(config, benchmarks=BenchmarkConfig())
        tests["held-out text"] = partial(_benchmark, "text", text, plain)
    for name, source in config.benchmarks.sources().items():
        tests[name] = partial(_benchmark, name, fetch_source(Source(source, name)), config)
    if not tests:
        raise DataError(
            "the text that the candidate and the champion were held out from is not in this home: "
            "name a text or questions with benchmarks.text=FILE, or benchmarks.lambada"
        )
    return tests


def _held_out(checkpoint: Artifact, max_bytes: int) -> Artifact | None:
    """A file with the text that a model's pretraining did not see; None if it is not here."""
    known = artifacts_by_fingerprint()
    shards = _parent(checkpoint, "shards", known)
    documents = shards and _parent(shards, "documents", known)
    if documents is None:
        return None
    key = fingerprint_of(documents, max_bytes)
    file = artifact_dir("raw", "held-out", key).with_suffix(".txt")
    if not file.is_file():
        text = _read(documents, max_bytes)
        if not text:
            return None
        with atomic_write_text(file) as target:
            target.write(text)
    return register_source(file, artifact_dir("raw", "held-out", key))


def _read(documents: Artifact, max_bytes: int) -> str:
    """The beginning of the test part, or of the validation part if there is none."""
    for split in ("test", "validation"):
        # A document has at least a byte, so that no more than these can be needed.
        texts = islice(iter_texts(documents, split), max_bytes)
        kept, size = [], 0
        for text in texts:
            kept.append(text)
            size += len(text.encode()) + 2
            if size >= max_bytes:
                break
        if kept:
            return "\n\n".join(kept).encode()[:max_bytes].decode(errors="ignore")
    return ""


def _parent(artifact: Artifact, kind: str, known: Mapping[str, Artifact]) -> Artifact | None:
    """The artifact of a kind that another was made from, if it is in this home."""
    parents = artifact.manifest().parents.items()
    found = [known.get(digest) for name, digest in parents if name.startswith(f"{kind}:")]
    if not found and kind == "shards":  # a downloaded model, made from the one that was registered
        made = [known.get(digest) for name, digest in parents if name.startswith("checkpoint:")]
        return next((_parent(each, kind, known) for each in made if each), None)
    return next((each for each in found if each), None)


def _examples(checkpoint: Artifact) -> tuple[Artifact, dict[str, Artifact]]:
    """The source of a fine-tune, and its files for validation and test where it has some."""
    known, manifest = artifacts_by_fingerprint(), checkpoint.manifest()
    digests = manifest.info.get("held")
    held_digests = digests if isinstance(digests, Mapping) else {}
    held = {name: known.get(digest) for name, digest in held_digests.items()}
    sources = [
        known.get(digest)
        for name, digest in manifest.parents.items()
        if name.startswith("raw:") and digest not in held_digests.values()
    ]
    source = next((each for each in sources if each), None)
    present = {name: each for name, each in held.items() if each is not None}
    if source is None or len(present) < len(held):
        raise DataError(
            f"the examples that {checkpoint.path} was tested on are not in this home any more"
        )
    return source, present


def _labelled(candidate: Artifact) -> Measure:
    from gpt_core.finetuning import evaluate_classifier

    return _on_examples(candidate, ClassificationConfig, evaluate_classifier)


def _instructions(candidate: Artifact) -> Measure:
    from gpt_core.finetuning import evaluate_instructions

    return _on_examples(candidate, InstructionConfig, evaluate_instructions)


def _on_pairs(candidate: Artifact) -> bool:
    """Whether a model was tuned on pairs of answers, which are no test of another model."""
    return "beta" in _tree(candidate)


def _on_examples(
    candidate: Artifact,
    config_class: type[C],
    evaluate: Callable[..., Artifact],
) -> Measure:
    """Measure fine-tuned models on the test part of the candidate's examples."""
    examples, held = _examples(candidate)
    config = build_config(config_class, _tree(candidate))

    def measure(checkpoint: Artifact) -> Mapping[str, float]:
        make = partial(evaluate, checkpoint, examples, config, held=held)
        return _kept("finetuning", make, checkpoint, examples, config, held)

    return measure


def _tree(checkpoint: Artifact) -> Mapping[str, object]:
    """The settings of a fine-tune, from its manifest."""
    config = checkpoint.manifest().config
    first = config[0] if isinstance(config, list) and config else None
    if not isinstance(first, Mapping):
        raise DataError(f"{checkpoint.path} does not say how its examples were split")
    return first


def _benchmark(
    name: Benchmark, source: Artifact, config: RunConfig, checkpoint: Artifact
) -> Mapping[str, float]:
    from gpt_core.evaluation import run_benchmarks

    settings = replace(config.benchmarks, checkpoints=())
    make = partial(
        run_benchmarks,
        checkpoint,
        {name: source},
        settings,
        progress=partial(current_display().progress, _NAME),
    )
    return _kept("evaluation", make, checkpoint, source, settings)


def _kept(
    package: str, make: Callable[[Path], Artifact], checkpoint: Artifact, *inputs: object
) -> Mapping[str, float]:
    """The metrics of a report that is there already, or is made now."""
    key = fingerprint_of(_NAME, source_fingerprint(package), checkpoint, *inputs)
    folder = artifact_dir("report", _NAME, key)
    try:
        return read_artifact(folder, "report").metrics()
    except DataError:
        return make(folder).metrics()
