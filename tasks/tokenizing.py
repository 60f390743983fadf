"""The stage that trains a tokenizer."""

from gpt_core import tokenizers
from gpt_core.artifact import Artifact
from gpt_core.config import EngineConfig, TokenizerConfig
from tasks.engines import open_engine
from tasks.stage import StageRun, stage


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
