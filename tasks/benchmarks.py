"""Checkpoints side by side on public benchmarks."""

from gpt_core.artifact import Artifact
from gpt_core.config import Benchmark, BenchmarkConfig
from gpt_core.evaluation import REPORT, compare_reports
from gpt_core.evaluation import run_benchmarks as run
from gpt_core.files import read_json
from tasks.plots import figures_figure
from tasks.reporting import report_table
from tasks.stage import running_stage, stage_task
from tasks.tracking import FlowRecord, run_link


@stage_task
def run_benchmarks(
    checkpoint: Artifact,
    sources: dict[Benchmark, Artifact],
    config: BenchmarkConfig,
    flow: FlowRecord,
) -> Artifact:
    """A checkpoint to a report, see ``gpt_core.evaluation.run_benchmarks``.

    Args:
        checkpoint: A language model.
        sources: The benchmarks' files.
        config: How they are run; it names this checkpoint only, so that others do not matter.
        flow: The flow's record.
    """
    inputs = (checkpoint, *sources.values(), config)
    label = " ".join(config.checkpoints)
    with running_stage("run_benchmarks", flow, *inputs, label=label) as stage:
        report = run(checkpoint, sources, config, stage.out_dir, progress=stage.progress)
        tables = read_json(report.directory / REPORT)
        for name in ("lambada", "hellaswag"):
            stage.record.log_table(tables.get(name, []), name)
        return stage.done(report)


@stage_task
def compare_models(reports: list[Artifact], flow: FlowRecord) -> Artifact:
    """Reports to one comparison, with plots, see ``gpt_core.evaluation.compare_reports``."""
    with running_stage("compare_models", flow, *reports) as stage:
        made = compare_reports(reports, "checkpoints", stage.out_dir, column="checkpoint")
        rows = read_json(made.directory / REPORT)["checkpoints"]
        figure = figures_figure(rows, "checkpoint")
        stage.record.log_figure(figure, "checkpoints")
        stage.record.log_table(rows, "checkpoints")
        report_table("checkpoints", rows, [figure], run_link(stage.record.run_id))
        return stage.done(made)
