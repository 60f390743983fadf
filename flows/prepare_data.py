"""Raw text to token shards."""

from prefect import flow

from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks.corpus import clean_corpus, fetch_corpus
from tasks.shards import encode_corpus
from tasks.tokenizer import train_tokenizer
from tasks.tracking import FlowRecord


@flow(name="prepare", flow_run_name="{config.name}")
def prepare_data(config: RunConfig) -> Artifact:
    """Raw text to token shards."""
    with recorded("prepare", config) as record:
        return to_shards(config, record)


def to_shards(config: RunConfig, record: FlowRecord) -> Artifact:
    """Read, clean, train the tokenizer, encode."""
    corpus = to_corpus(config, record)
    tokenizer = train_tokenizer(corpus, config.tokenizer, record)
    record.note("train_tokenizer", tokenizer)
    shards: Artifact = encode_corpus(corpus, tokenizer, config.shards, record)
    record.note("encode_corpus", shards)
    return shards


def to_corpus(config: RunConfig, record: FlowRecord) -> Artifact:
    """Read and clean."""
    raw = fetch_corpus(config.source, companion=config.reading.boundaries)
    corpus: Artifact = clean_corpus(raw, config.reading, config.cleaning, record)
    record.note("clean_corpus", corpus)
    return corpus
