"""Several tokenizers on one corpus, side by side."""

from dataclasses import replace
from pathlib import Path

from flows.commands.prepare import clean
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig, TokenizerConfig
from tasks import stages
from tasks.reads import Given
from tasks.stage import labelled


def compare_tokenizers(config: RunConfig) -> Artifact:
    """Train each tokenizer, unless its directory is given, measure all and combine the reports."""
    corpus = clean(config)
    candidates = config.comparison.candidates(config.tokenizer)
    reports = [measure(corpus, name, each, config) for name, each in candidates.items()]
    return stages.compare_tokenizers(reports)


def measure(
    corpus: Artifact, name: str, candidate: TokenizerConfig | Path, config: RunConfig
) -> Artifact:
    """Measure one tokenizer; the report does not depend on the others."""
    alone = replace(config.comparison, tokenizers=(name,))
    with labelled(name):
        if isinstance(candidate, Path):
            tokenizer = Given(str(candidate), "tokenizer").read()
        else:
            tokenizer = stages.train_tokenizer(corpus, candidate, config.engine)
        return stages.measure_tokenizer(corpus, tokenizer, alone)
