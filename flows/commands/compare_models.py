"""Several checkpoints on public benchmarks, side by side."""

from dataclasses import replace

from flows.commands.import_gpt2 import import_gpt2
from gpt_core.artifact import Artifact
from gpt_core.config import Benchmark, RunConfig
from tasks import stages
from tasks.reads import Given
from tasks.stage import labelled


def compare_models(config: RunConfig) -> Artifact:
    """Run the benchmarks on each checkpoint and combine the reports."""
    given = config.benchmarks.sources()
    benchmarks = {name: stages.fetch_corpus(source, name) for name, source in given.items()}
    checkpoints = config.benchmarks.by_label()
    reports = [measure(label, benchmarks, config) for label in checkpoints]
    return stages.compare_models(reports)


def measure(label: str, benchmarks: dict[Benchmark, Artifact], config: RunConfig) -> Artifact:
    """Run the benchmarks on one checkpoint; the report does not depend on the others."""
    named = config.benchmarks.by_label()[label]
    checkpoint = import_gpt2(config) if named == "gpt2" else Given(named, "checkpoint").read()
    with labelled(label):
        alone = replace(config.benchmarks, checkpoints=(label,))
        return stages.run_benchmarks(checkpoint, benchmarks, alone)
