"""Find recorded runs and models again: by fingerprint, run id, or name in the model registry."""

from collections.abc import Mapping
from datetime import UTC, datetime

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from gpt_core.errors import DataError
from tasks.lineage import StageRunInfo
from tasks.paths import from_home
from tasks.tracking.fetched import registered_checkpoint
from tasks.tracking.registry import SCHEME
from tasks.tracking.store import client, experiment_ids

RESULTS = (
    "export_huggingface",
    "finetune_preferences",
    "finetune_instructions",
    "finetune_classifier",
    "pretrain",
    "import_gpt2",
    "compare_models",
    "compare_tokenizers",
    "evaluate_language_model",
    "encode_corpus",
)
"""The stages whose result a flow's run stands for; if it has several, the first of these."""


def find_stage_run(fingerprint: str) -> StageRunInfo | None:
    """The newest run of a stage that made an artifact with this fingerprint, or None."""
    runs = client().search_runs(
        experiment_ids(),
        filter_string=f"tags.fingerprint = '{fingerprint}'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    return _describe(runs[0]) if runs else None


def artifact_of(name: str) -> str:
    """The directory that a run or a registered model stands for.

    Args:
        name: A run's id, or an address of the registry such as ``models:/NAME@ALIAS``.

    Raises:
        DataError: If there is no such run or model, or it has no artifact.
    """
    try:
        if name.startswith(SCHEME):
            return registered_checkpoint(name).path
        tags: Mapping[str, str] = client().get_run(name).data.tags
    except MlflowException as error:
        raise DataError(f"MLflow has no run or model {name}") from error
    made = [tags.get("artifact"), *(tags.get(f"artifact.{stage}") for stage in RESULTS)]
    path = next((each for each in made if each), None)
    if path is None:
        raise DataError(f"the run {name} has made no artifact")
    return from_home(path)


def _describe(run: Run) -> StageRunInfo:
    started = datetime.fromtimestamp(run.info.start_time / 1000, tz=UTC)
    tags = run.data.tags
    return StageRunInfo(
        run_id=run.info.run_id,
        stage=tags.get("stage", ""),
        commit=tags.get("git.commit", ""),
        started=started.isoformat(timespec="seconds"),
    )
