"""Sources and their cleaning."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from gpt_core.artifact import Artifact
from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.errors import DownloadError
from gpt_core.files import read_json
from gpt_core.text import clean_corpus as clean
from tasks.progress import current_display
from tasks.sources import Role, fetch_source
from tasks.stage import running_stage, stage_task
from tasks.tracking import FlowRecord


def _did_not_come(task: Any, task_run: Any, state: Any) -> bool:
    """Whether a source failed for want of the network, so that another try may help."""
    try:
        state.result()
    except DownloadError:
        return True
    except Exception:
        return False
    return False


@task(
    name="fetch_corpus",
    task_run_name="fetch_corpus ({role})",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=_did_not_come,
)
def fetch_corpus(source: str, role: Role = "text", companion: str | None = None) -> Artifact:
    """A source by name or path, recorded by its content; see ``tasks.sources``."""
    display = current_display()

    def progress(unit: str, done: int, total: int | None) -> None:
        display.progress("fetch_corpus", unit, done, total)

    return fetch_source(source, role, companion, progress)


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
