"""Checkpoints as MLflow models: their files and their metrics."""

from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow.entities import LoggedModel, LoggedModelInput, LoggedModelOutput, LoggedModelStatus

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import is_training_state
from gpt_core.durable import replace_directory, temporary_directory
from tasks.paths import staged_model
from tasks.tracking.links import link_or_copy
from tasks.tracking.params import flatten
from tasks.tracking.python_function import add_python_function
from tasks.tracking.store import UNREACHABLE, client, experiment_ids


def log_model(run_id: str, checkpoint: Artifact, name: str, experiment: str) -> str:
    """Log a checkpoint as a model, unless the store has it already.

    Args:
        run_id: The MLflow run that made it.
        checkpoint: The checkpoint that the run made.
        name: The model's name, such as ``language-model``.
        experiment: The experiment of a new model.

    Returns:
        The model's id, for metrics that belong to it.
    """
    model_id = find_logged(checkpoint) or _upload(run_id, checkpoint, name, experiment)
    outputs = client().get_run(run_id).outputs
    known = outputs.model_outputs if outputs else []
    if model_id not in {output.model_id for output in known}:  # MLflow refuses it twice
        step = int(checkpoint.metrics().get("step", 0))
        client().log_outputs(run_id, [LoggedModelOutput(model_id, step)])
    return model_id


def log_model_input(run_id: str, checkpoint: Artifact) -> None:
    """Record that a run reads a checkpoint's model, if the store has that.

    Args:
        run_id: The MLflow run.
        checkpoint: The checkpoint that it reads.
    """
    model_id = find_logged(checkpoint)
    if model_id is not None:
        client().log_inputs(run_id, models=[LoggedModelInput(model_id)])


def find_logged(checkpoint: Artifact) -> str | None:
    """The id of the complete model with a checkpoint's files, or None."""
    found = client().search_logged_models(
        experiment_ids(), filter_string=f"tags.fingerprint = '{checkpoint.fingerprint}'"
    )
    ready = [model for model in found if model.status == LoggedModelStatus.READY]
    return str(ready[0].model_id) if ready else None


def _upload(run_id: str, checkpoint: Artifact, name: str, experiment: str) -> str:
    logged = client().create_logged_model(
        experiment,
        name=name.replace(".", "-"),  # which MLflow does not take in a model's name
        source_run_id=run_id,
        tags={"fingerprint": checkpoint.fingerprint, "path": checkpoint.path},
        params=_params(checkpoint),
        model_type="gpt",
    )
    try:
        with temporary_directory(staged_model()) as folder:
            released = without_training_state(checkpoint, folder / "model")
            add_python_function(released.directory, run_id, str(logged.model_id))
            _store(released, logged)
    except BaseException:
        with suppress(*UNREACHABLE):
            client().finalize_logged_model(logged.model_id, "FAILED")
        raise
    client().finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id)


def _store(model: Artifact, logged: LoggedModel) -> None:
    """Give a model's files to the store.

    In a store of this machine the links to the checkpoint's files are moved to their place: MLflow
    would copy them, and the weights would be on disk twice.
    """
    place = urlsplit(str(logged.artifact_location))
    folder = Path(url2pathname(place.path))
    if place.scheme not in ("", "file") or not folder.is_absolute():
        client().log_model_artifacts(logged.model_id, model.path)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        replace_directory(model.directory, folder)
    except OSError:  # another file system
        client().log_model_artifacts(logged.model_id, model.path)


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
                link_or_copy(checkpoint.directory / name, target)
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
