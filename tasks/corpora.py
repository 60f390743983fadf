"""The stages that clean a corpus and train its tokenizer."""

from gpt_core import text, tokenizers
from gpt_core.artifact import Artifact
from gpt_core.config import CleaningConfig, EngineConfig, ReadingConfig, TokenizerConfig
from tasks import tables
from tasks.engines import open_engine
from tasks.stage import StageRun, stage


@stage(package="text", kind="documents", ignore=("engine_config",))
def clean_corpus(
    run: StageRun,
    raw: Artifact,
    reading: ReadingConfig,
    cleaning: CleaningConfig,
    engine_config: EngineConfig | None = None,
    contamination: Artifact | None = None,
) -> Artifact:
    """Clean raw text, see ``gpt_core.text.clean_corpus``; the engine is not part of the key."""
    with open_engine(engine_config) as engine:
        corpus = text.clean_corpus(
            raw, reading, cleaning, run.out_dir, contamination, engine=engine, progress=run.progress
        )
    run.record.log_table(tables.rules(corpus), "rules")
    run.record.log_table(tables.dropped(corpus), "dropped")
    return corpus


@stage(package="tokenizers", kind="tokenizer", ignore=("engine_config",))
def train_tokenizer(
    run: StageRun,
    corpus: Artifact,
    config: TokenizerConfig,
    engine_config: EngineConfig | None = None,
) -> Artifact:
    """Train a tokenizer on documents, see ``gpt_core.tokenizers.train_tokenizer``.

    The engine, which counts the parts of a large corpus, is not part of the cache key.
    """
    with open_engine(engine_config) as engine:
        tokenizer = tokenizers.train_tokenizer(
            corpus, config, run.out_dir, engine=engine, progress=run.progress
        )
    if (said := tokenizers.describe_training(tokenizer.metrics())) is not None:
        run.display.notice(f"The tokenizer {said}.")
    return tokenizer
