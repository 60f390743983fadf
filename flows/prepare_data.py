"""Raw text to token shards."""

from prefect import flow

from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages


@flow(name="prepare", flow_run_name="{config.name}")
def prepare_data(config: RunConfig) -> Artifact:
    """Raw text to token shards."""
    with recorded("prepare", config):
        return to_shards(config)


def to_shards(config: RunConfig) -> Artifact:
    """Read, clean, train the tokenizer, encode."""
    corpus = to_corpus(config)
    tokenizer = stages.train_tokenizer(corpus, config.tokenizer)
    return stages.encode_corpus(corpus, tokenizer, config.shards)


def to_corpus(config: RunConfig) -> Artifact:
    """Read and clean."""
    raw = stages.fetch_corpus(config.source, companion=config.reading.boundaries)
    return stages.clean_corpus(raw, config.reading, config.cleaning)
