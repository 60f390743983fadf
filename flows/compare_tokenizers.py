"""Several tokenizers on one corpus, side by side."""

from dataclasses import replace
from pathlib import Path

from prefect import flow

from flows.preflight import given_tokenizer
from flows.prepare_data import to_corpus
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks import stages
from tasks.stage import labelled


@flow(name="compare-tokenizers", flow_run_name="{config.name}")
def compare_on_corpus(config: RunConfig) -> Artifact:
    """Several tokenizers on one corpus, side by side."""
    with recorded("compare-tokenizers", config):
        corpus = to_corpus(config)
        reports = []
        for name, wanted in config.comparison.candidates(config.tokenizer).items():
            with labelled(name):
                tokenizer = (
                    given_tokenizer(wanted)
                    if isinstance(wanted, Path)
                    else stages.train_tokenizer(corpus, wanted)
                )
                alone = replace(config.comparison, tokenizers=(name,))
                reports.append(stages.measure_tokenizer(corpus, tokenizer, alone))
        return stages.compare_tokenizers(reports)
