"""Several tokenizers on one corpus, side by side."""

from dataclasses import replace
from pathlib import Path

from prefect import flow

from flows.preflight import given_tokenizer
from flows.prepare_data import to_corpus
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig
from tasks.comparison import compare_tokenizers, measure_tokenizer
from tasks.tokenizer import train_tokenizer
from tasks.tracking import FlowRecord


@flow(name="compare-tokenizers", flow_run_name="{config.name}")
def compare_on_corpus(config: RunConfig) -> Artifact:
    """Several tokenizers on one corpus, side by side."""
    with recorded("compare-tokenizers", config) as record:
        corpus = to_corpus(config, record)
        reports = []
        for name, wanted in config.comparison.candidates(config.tokenizer).items():
            tokenizer = (
                given_tokenizer(wanted)
                if isinstance(wanted, Path)
                else train_tokenizer(corpus, wanted, record)
            )
            reports.append(_measured(corpus, tokenizer, name, config, record))
        comparison: Artifact = compare_tokenizers(reports, record)
        return comparison


def _measured(
    corpus: Artifact, tokenizer: Artifact, name: str, config: RunConfig, record: FlowRecord
) -> Artifact:
    """One tokenizer's figures; the names of the others do not matter for them."""
    alone = replace(config.comparison, tokenizers=(name,))
    report: Artifact = measure_tokenizer(corpus, tokenizer, alone, record)
    record.show("measure_tokenizer", report, name)
    return report
