"""Every stage of the pipeline in its order, each named like the core's function that it runs.

Packages that import torch are imported by the functions, because a stage that is answered from the
cache does without the seconds that it takes.
"""

from pathlib import Path

from gpt_core import text
from gpt_core.artifact import Artifact, fingerprint_of
from gpt_core.config import (
    Benchmark,
    BenchmarkConfig,
    ClassificationConfig,
    ComparisonConfig,
    DecodingConfig,
    EngineConfig,
    EvaluationConfig,
    GPT2ImportConfig,
    InstructionConfig,
    JudgeConfig,
    LaunchConfig,
    LoRAConfig,
    PreferenceConfig,
    PretrainConfig,
    ShardConfig,
)
from tasks import hub, launch, sources, tables
from tasks.anatomy import dissect as dissect
from tasks.classifier_plots import metric_intervals, record_classifier
from tasks.corpora import clean_corpus as clean_corpus
from tasks.corpora import train_tokenizer as train_tokenizer
from tasks.engines import open_engine
from tasks.judging import judge_key
from tasks.paths import artifact_dir, judge_replies
from tasks.pieces import pieces_page
from tasks.planning import PendingDownload
from tasks.plots import TOKENIZER_METRICS, loss_curves, metric_bars, zipf_curves
from tasks.predictions import predict_file as predict_file
from tasks.reads import Role, Source
from tasks.reporting import report_table
from tasks.sharing import stored_training
from tasks.stage import StageRun, display_progress, fetch, stage
from tasks.training_reporter import TrainingReporter


def _plan_corpus(
    folder: Path, source: str, role: Role = "text", companion: str | None = None
) -> Artifact | PendingDownload:
    """Register a source in a folder if its file is present."""
    planned = sources.register_present(Source(source, role), folder / role, companion)
    return PendingDownload(source, planned) if isinstance(planned, int) else planned


@fetch(planned=_plan_corpus, run_name="fetch_corpus ({role})")
def fetch_corpus(source: str, role: Role = "text", companion: str | None = None) -> Artifact:
    """Register a source, given by name or path, by its content, see ``tasks.sources``."""
    return sources.fetch_source(Source(source, role), companion, display_progress("fetch_corpus"))


@stage(package="data", kind="shards", ignore=("engine_config",))
def encode_corpus(
    run: StageRun,
    corpus: Artifact,
    tokenizer: Artifact,
    config: ShardConfig,
    engine_config: EngineConfig | None = None,
) -> Artifact:
    """Encode documents into token shards, see ``gpt_core.data.encode_corpus``.

    The engine is not part of the cache key.
    """
    from gpt_core import data

    with open_engine(engine_config, config.workers) as engine:
        return data.encode_corpus(
            corpus, tokenizer, config, run.out_dir, engine=engine, progress=run.progress
        )


@stage(
    package="training",
    kind="checkpoint",
    days=30,
    resumable=True,
    ignore=("launch_config",),
    metrics_prefix="best/",  # those without a prefix are of the last step
    trains=True,
)
def pretrain(
    run: StageRun, shards: Artifact, config: PretrainConfig, launch_config: LaunchConfig
) -> Artifact:
    """Pretrain a model on token shards, see ``gpt_core.training.pretrain``.

    An interrupted run resumes from its newest checkpoint. The number of processes is not part of
    the cache key.
    """
    sharing = stored_training(run.name, run.key, run.out_dir)
    with sharing as uploads, TrainingReporter(run) as reporter:
        callbacks = [reporter, *uploads]
        checkpoint = launch.train(shards, config, run.out_dir, launch_config, callbacks)
    run.record.log_figure(loss_curves(tables.training_metrics(checkpoint)), "loss")
    run.record.log_table(tables.training_samples(checkpoint), "samples")
    run.record.log_model(checkpoint)
    return checkpoint


def _plan_gpt2(folder: Path, config: GPT2ImportConfig) -> Artifact | PendingDownload:
    """Register a release in a folder if it is present."""
    release = hub.release_of(config)
    if release is None:
        return _plan_corpus(folder, config.source)
    if not release.folder.is_dir():
        return PendingDownload(release.repository)
    return text.register_source(release.folder, folder / "gpt2")


@fetch(planned=_plan_gpt2, run_name="fetch_gpt2")
def fetch_gpt2(config: GPT2ImportConfig) -> Artifact:
    """Register a GPT-2 release by its content, downloaded first if it is one of a model hub."""
    from tasks.hub_download import fetch_release

    release = hub.release_of(config)
    folder = Path(config.source).expanduser().resolve()
    if release is not None:
        folder = fetch_release(release, config.mirrors, display_progress("fetch_gpt2"))
    return text.register_source(
        folder, artifact_dir("raw", folder.name, fingerprint_of(str(folder)))
    )


@stage(package="interop", kind="checkpoint")
def import_gpt2(run: StageRun, release: Artifact) -> Artifact:
    """Import a GPT-2 release as a checkpoint, see ``gpt_core.interop.import_gpt2``."""
    from gpt_core import interop

    directory = text.local_path(release)
    checkpoint = interop.import_gpt2(directory, run.out_dir, progress=run.progress)
    run.record.log_model(checkpoint)
    return checkpoint


@stage(package="evaluation", kind="report")
def evaluate_language_model(
    run: StageRun,
    checkpoint: Artifact,
    shards: Artifact,
    config: EvaluationConfig,
    decoding: DecodingConfig,
) -> Artifact:
    """Evaluate a checkpoint, see ``gpt_core.evaluation.evaluate_language_model``."""
    from gpt_core import evaluation

    report = evaluation.evaluate_language_model(
        checkpoint, shards, config, decoding, run.out_dir, progress=run.progress
    )
    run.record.log_table(tables.report_table(report, "samples"), "samples")
    return report


@stage(package="evaluation", kind="report")
def fit_baselines(
    run: StageRun, examples: Artifact, config: ClassificationConfig, held: dict[str, Artifact]
) -> Artifact:
    """Fit a linear model and count the labels, see ``gpt_core.evaluation.fit_baselines``."""
    from gpt_core import evaluation

    report = evaluation.fit_baselines(
        examples, config, run.out_dir, held=held, progress=run.progress
    )
    run.record.log_table(tables.report_table(report, "labels"), "labels")
    return report


@stage(package="finetuning", kind="checkpoint", resumable=True, trains=True)
def finetune_classifier(
    run: StageRun,
    checkpoint: Artifact,
    examples: Artifact,
    config: ClassificationConfig,
    lora: LoRAConfig,
    held: dict[str, Artifact],
) -> Artifact:
    """Fine-tune a classifier, see ``gpt_core.finetuning.finetune_classifier``."""
    from gpt_core import finetuning

    with TrainingReporter(run) as reporter:
        classifier = finetuning.finetune_classifier(
            checkpoint, examples, config, lora, run.out_dir, held=held, callbacks=[reporter]
        )
    run.record.log_figure(loss_curves(reporter.metrics()), "loss")
    record_classifier(run, classifier)
    return classifier


@stage(package="evaluation", kind="report")
def summarize_classifiers(
    run: StageRun, classifiers: list[Artifact], baselines: list[Artifact], label: str
) -> Artifact:
    """Compare seeds with baselines, see ``gpt_core.evaluation.summarize_classifiers``."""
    from gpt_core import evaluation

    summary = evaluation.summarize_classifiers(classifiers, baselines, label, run.out_dir)
    rows = tables.report_table(summary, "models")
    run.record.log_table(rows, "models")
    run.record.log_table(tables.report_table(summary, "seeds"), "seeds")
    plot = metric_intervals(rows)
    run.record.log_figure(plot, "models")
    report_table(label or "classifiers", rows, [plot], run.record.link)
    return summary


@stage(package="evaluation", kind="report")
def compare_classifiers(run: StageRun, summaries: list[Artifact]) -> Artifact:
    """Combine ways of fine-tuning, see ``gpt_core.evaluation.compare_classifiers``."""
    from gpt_core import evaluation

    comparison = evaluation.compare_classifiers(summaries, run.out_dir)
    rows = tables.report_table(comparison, "classifiers")
    plot = metric_intervals(rows)
    run.record.log_table(rows, "classifiers")
    run.record.log_figure(plot, "classifiers")
    report_table("classifiers", rows, [plot], run.record.link)
    return comparison


@stage(package="finetuning", kind="checkpoint", resumable=True, trains=True)
def finetune_instructions(
    run: StageRun,
    checkpoint: Artifact,
    examples: Artifact,
    config: InstructionConfig,
    lora: LoRAConfig,
    held: dict[str, Artifact],
) -> Artifact:
    """Fine-tune a model on instructions, see ``gpt_core.finetuning.finetune_instructions``."""
    from gpt_core import finetuning

    with TrainingReporter(run) as reporter:
        model = finetuning.finetune_instructions(
            checkpoint, examples, config, lora, run.out_dir, held=held, callbacks=[reporter]
        )
    run.record.log_figure(loss_curves(reporter.metrics()), "loss")
    run.record.log_table(tables.answers(model), "answers")
    run.record.log_model(model)
    return model


@stage(package="judging", kind="report")
def judge_answers(run: StageRun, answers: list[Artifact], config: JudgeConfig) -> Artifact:
    """Have a model score answers, see ``gpt_core.judging.judge_answers``.

    Args:
        run: The stage's run.
        answers: A checkpoint or file with answers, and perhaps another one to compare with.
        config: The judge.
    """
    from gpt_core import judging

    report = judging.judge_answers(
        answers, config, run.out_dir, judge_replies(), key=judge_key(), progress=run.progress
    )
    run.display.notice(judging.report_headline(report))
    run.record.log_table(tables.judgements(report), "judgements")
    problem = run.record.log_assessments(report, str(config.model), config.traces)
    if problem:
        run.display.notice(f"MLflow has the table of answers, but no traces of them: {problem}")
    return report


@stage(package="finetuning", kind="checkpoint", resumable=True, trains=True)
def finetune_preferences(
    run: StageRun,
    checkpoint: Artifact,
    examples: Artifact,
    config: PreferenceConfig,
    lora: LoRAConfig,
) -> Artifact:
    """Tune a model on pairs of answers, see ``gpt_core.finetuning.finetune_preferences``."""
    from gpt_core import finetuning

    with TrainingReporter(run) as reporter:
        model = finetuning.finetune_preferences(
            checkpoint, examples, config, lora, run.out_dir, callbacks=[reporter]
        )
    run.record.log_figure(loss_curves(reporter.metrics()), "loss")
    run.record.log_table(tables.answers(model), "answers")
    run.record.log_model(model)
    return model


@stage(package="evaluation", kind="report")
def measure_tokenizer(
    run: StageRun, corpus: Artifact, tokenizer: Artifact, config: ComparisonConfig
) -> Artifact:
    """Measure a tokenizer on documents, see ``gpt_core.evaluation.measure_tokenizer``.

    Args:
        run: The stage's run.
        corpus: The documents.
        tokenizer: The tokenizer.
        config: What is measured; it names this tokenizer only, so that others do not matter.
    """
    from gpt_core import evaluation

    return evaluation.measure_tokenizer(
        corpus, tokenizer, config, run.out_dir, progress=run.progress
    )


@stage(package="evaluation", kind="report")
def compare_tokenizers(run: StageRun, reports: list[Artifact]) -> Artifact:
    """Combine reports on tokenizers, see ``gpt_core.evaluation.compare_tokenizers``."""
    from gpt_core import evaluation

    comparison = evaluation.compare_tokenizers(reports, run.out_dir)
    rows = tables.comparison(comparison)
    bars = metric_bars(rows, "tokenizer", TOKENIZER_METRICS)
    zipf = zipf_curves(tables.report_table(comparison, "ranks"))
    run.record.log_figure(bars, "tokenizers")
    run.record.log_figure(zipf, "zipf")
    run.record.log_table(rows, "tokenizers")
    page = pieces_page(tables.report_table(comparison, "sentences"))
    run.record.log_text(page, "pieces.html")
    report_table("tokenizers", rows, [bars, zipf], run.record.link)
    return comparison


@stage(package="evaluation", kind="report")
def run_benchmarks(
    run: StageRun, checkpoint: Artifact, sources: dict[Benchmark, Artifact], config: BenchmarkConfig
) -> Artifact:
    """Evaluate a checkpoint on benchmarks, see ``gpt_core.evaluation.run_benchmarks``.

    Args:
        run: The stage's run.
        checkpoint: A language model.
        sources: The benchmarks' files.
        config: How they are run; it names this checkpoint only, so that others do not matter.
    """
    from gpt_core import evaluation

    report = evaluation.run_benchmarks(
        checkpoint, sources, config, run.out_dir, progress=run.progress
    )
    for name in sources:
        run.record.log_table(tables.report_table(report, name), name)
    return report


@stage(package="evaluation", kind="report")
def compare_models(run: StageRun, reports: list[Artifact]) -> Artifact:
    """Combine benchmark reports on checkpoints, see ``gpt_core.evaluation.compare_models``."""
    from gpt_core import evaluation

    comparison = evaluation.compare_models(reports, run.out_dir)
    rows = tables.comparison(comparison)
    bars = metric_bars(rows, "checkpoint")
    run.record.log_figure(bars, "checkpoints")
    run.record.log_table(rows, "checkpoints")
    report_table("checkpoints", rows, [bars], run.record.link)
    return comparison


@stage(package="interop", kind="release")
def export_huggingface(run: StageRun, checkpoint: Artifact) -> Artifact:
    """Export a checkpoint for ``transformers``, see ``gpt_core.interop.export_huggingface``."""
    from gpt_core import interop

    return interop.export_huggingface(checkpoint, run.out_dir)
