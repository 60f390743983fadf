"""Tokenizer training."""

from gpt_core.artifact import Artifact
from gpt_core.config import TokenizerConfig
from gpt_core.tokenizers import train_tokenizer as train
from tasks.stage import running_stage, stage_task
from tasks.tracking import FlowRecord


@stage_task
def train_tokenizer(corpus: Artifact, config: TokenizerConfig, flow: FlowRecord) -> Artifact:
    """Documents to a tokenizer, see ``gpt_core.tokenizers.train_tokenizer``."""
    with running_stage("train_tokenizer", flow, corpus, config) as stage:
        return stage.done(train(corpus, config, stage.out_dir, progress=stage.progress))
