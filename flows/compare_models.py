"""Several checkpoints on public benchmarks, side by side."""

from dataclasses import replace

from prefect import flow

from flows.import_gpt2 import to_import
from flows.preflight import given_checkpoint
from flows.recorded import recorded
from gpt_core.artifact import Artifact
from gpt_core.config import Benchmark, RunConfig
from tasks import stages
from tasks.stage import labelled


@flow(name="compare-models", flow_run_name="{config.name}")
def compare_checkpoints(config: RunConfig) -> Artifact:
    """Several checkpoints on public benchmarks, side by side."""
    with recorded("compare-models", config):
        sources = {
            name: stages.fetch_corpus(source, role=name)
            for name, source in config.benchmarks.sources().items()
        }
        labels = config.benchmarks.by_label()
        reports = [_measured(label, sources, config) for label in labels]
        return stages.compare_models(reports)


def _measured(label: str, sources: dict[Benchmark, Artifact], config: RunConfig) -> Artifact:
    """One checkpoint's figures; the others do not matter for them."""
    named = config.benchmarks.by_label()[label]
    checkpoint = to_import(config) if named == "gpt2" else given_checkpoint(named)
    alone = replace(config.benchmarks, checkpoints=(label,))
    with labelled(label):
        return stages.run_benchmarks(checkpoint, sources, alone)
