"""Sources and their cleaning."""

from functools import partial

from gpt_core.artifact import Artifact
from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.files import read_json
from gpt_core.text import clean_corpus as clean
from tasks.sources import Role, fetch_source
from tasks.stage import network_task, running_stage, shown_progress, stage_task
from tasks.tracking import FlowRecord


@partial(network_task, run_name="fetch_corpus ({role})")
def fetch_corpus(source: str, role: Role = "text", companion: str | None = None) -> Artifact:
    """A source by name or path, recorded by its content; see ``tasks.sources``."""
    return fetch_source(source, role, companion, shown_progress("fetch_corpus"))


@stage_task
def clean_corpus(
    raw: Artifact, reading: ReadingConfig, cleaning: CleaningConfig, flow: FlowRecord
) -> Artifact:
    """Raw text to clean documents, see ``gpt_core.text.clean_corpus``."""
    with running_stage("clean_corpus", flow, raw, reading, cleaning) as stage:
        corpus = clean(raw, reading, cleaning, stage.out_dir, progress=stage.progress)
        report = read_json(corpus.directory / "report.json")
        rows = [
            {"rule": name, "documents": rule["documents"],
             "characters_removed": rule["characters_removed"], **rule["examples"][0]}
            for name, rule in report["rules"].items()
        ]  # fmt: skip
        stage.record.log_table(rows, "rules")
        return stage.done(corpus)
