"""Raw text to token shards."""

from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


def prepare(config: RunConfig) -> Artifact:
    """Clean the source, train a tokenizer on it and encode it into token shards."""
    corpus = clean(config)
    tokenizer = stages.train_tokenizer(corpus, config.tokenizer, config.engine)
    return stages.encode_corpus(corpus, tokenizer, config.shards, config.engine)


def clean(config: RunConfig) -> Artifact:
    """Fetch the source and clean its documents."""
    raw = stages.fetch_corpus(config.source, companion=config.reading.boundaries)
    held = config.cleaning.contamination
    texts = None if held is None else stages.fetch_corpus(held, "contamination")
    return stages.clean_corpus(raw, config.reading, config.cleaning, config.engine, texts)
