"""Several checkpoints on public benchmarks, side by side."""

from dataclasses import replace

from prefect import flow

from flows.import_gpt2 import to_import
from flows.preflight import given_checkpoint
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import Benchmark, RunConfig
from tasks.benchmarks import compare_models, run_benchmarks
from tasks.corpus import fetch_corpus
from tasks.tracking import FlowRecord


@flow(name="compare-models", flow_run_name="{config.name}")
def compare_checkpoints(config: RunConfig) -> Artifact:
    """Several checkpoints on public benchmarks, side by side."""
    with recorded("compare-models", config) as record:
        sources = {
            name: fetch_corpus(source, role=name)
            for name, source in config.benchmarks.sources().items()
        }
        labels = config.benchmarks.by_label()
        reports = [_measured(label, sources, config, record) for label in labels]
        comparison: Artifact = compare_models(reports, record)
        return comparison


def _measured(
    label: str, sources: dict[Benchmark, Artifact], config: RunConfig, record: FlowRecord
) -> Artifact:
    """One checkpoint's figures; the others do not matter for them."""
    named = config.benchmarks.by_label()[label]
    checkpoint = to_import(config, record) if named == "gpt2" else given_checkpoint(named)
    alone = replace(config.benchmarks, checkpoints=(label,))
    report: Artifact = run_benchmarks(checkpoint, sources, alone, record)
    record.show("run_benchmarks", report, label)
    return report
