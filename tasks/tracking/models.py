"""Checkpoints as MLflow models: their files, their metrics and a name in the model registry."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import is_training_state
from gpt_core.durable import temporary_directory
from tasks.paths import staged_model
from tasks.tracking.params import flatten
from tasks.tracking.store import UNREACHABLE, client, experiment_id, settings


def log_model(run_id: str, checkpoint: Artifact, name: str) -> str:
    """Log a checkpoint as a model and register it as the newest version of a name.

    Args:
        run_id: The MLflow run that made it.
        checkpoint: The checkpoint that the run made.
        name: The registered name, such as ``tiny-pretrained``.

    Returns:
        The model's id, for metrics that belong to it.
    """
    logged = client().create_logged_model(
        experiment_id(),
        name=name.replace(".", "-"),  # which MLflow does not take in a model's name
        source_run_id=run_id,
        tags={"fingerprint": checkpoint.fingerprint, "path": checkpoint.path},
        params=_params(checkpoint),
        model_type="gpt",
    )
    try:
        with temporary_directory(staged_model()) as folder:
            released = without_training_state(checkpoint, folder / "model")
            client().log_model_artifacts(logged.model_id, released.path)
    except BaseException:
        with suppress(*UNREACHABLE):
            client().finalize_logged_model(logged.model_id, "FAILED")
        raise
    client().finalize_logged_model(logged.model_id, "READY")
    step = int(checkpoint.metrics().get("step", 0))
    client().log_outputs(run_id, [LoggedModelOutput(logged.model_id, step)])
    _register(name, run_id, logged.model_id)
    return str(logged.model_id)


def without_training_state(checkpoint: Artifact, out_dir: Path) -> Artifact:
    """The same model without the state that is only good for training on, which is large."""
    manifest = checkpoint.manifest()
    with new_artifact(
        out_dir, kind="checkpoint", config=manifest.config, parents=[checkpoint]
    ) as draft:
        draft.info.update(manifest.info)
        draft.metrics.update(manifest.metrics)
        for name in manifest.files:
            if not is_training_state(name):
                target = draft.directory / name
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(checkpoint.directory / name, target)
    return draft.artifact


def _params(checkpoint: Artifact) -> dict[str, str]:
    """The settings that a checkpoint's manifest names; several sections are stored as a list."""
    config = checkpoint.manifest().config
    sections = config if isinstance(config, list) else [config]
    params: dict[str, str] = {}
    for section in sections:
        if isinstance(section, dict):
            params |= flatten(section)
    return params


def _link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _register(name: str, run_id: str, model_id: str) -> None:
    """Add a version to a registered name and point the alias to it."""
    try:
        client().create_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    version = client().create_model_version(
        name, source=f"models:/{model_id}", run_id=run_id, model_id=model_id
    )
    client().set_registered_model_alias(name, settings()["models"]["alias"], version.version)
