"""Encoding."""

from gpt_core.artifact import Artifact
from gpt_core.config import ShardConfig
from gpt_core.data import encode_corpus as encode
from tasks.stage import running_stage, stage_task
from tasks.tracking import FlowRecord


@stage_task
def encode_corpus(
    corpus: Artifact, tokenizer: Artifact, config: ShardConfig, flow: FlowRecord
) -> Artifact:
    """Documents to token shards, see ``gpt_core.data.encode_corpus``."""
    with running_stage("encode_corpus", flow, corpus, tokenizer, config) as stage:
        return stage.done(encode(corpus, tokenizer, config, stage.out_dir, progress=stage.progress))
