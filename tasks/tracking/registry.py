"""The model registry: one name for each family of models, versions, and the aliases that they have.

Every new version becomes the ``candidate`` of its name. The ``champion`` moves by ``gptflow
promote`` alone, see ``tasks.tracking.champions``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

from gpt_core.artifact import Artifact, fingerprint_of
from gpt_core.checkpoints import read_description
from gpt_core.errors import DataError
from tasks.paths import from_home, in_home
from tasks.tracking.names import RESULTS, metric_name
from tasks.tracking.store import client, store_exists

SCHEME = "models:/"
CANDIDATE, CHAMPION = "candidate", "champion"

LANGUAGE_MODEL, CLASSIFIER, FOLLOWER = "language-model", "classifier", "instruction-follower"
"""The families; a classifier's name continues with its labels."""

_FAMILIES = {"pretrained": LANGUAGE_MODEL, "imported": LANGUAGE_MODEL, "instruction": FOLLOWER}
_MAX_LABELS = 60  # characters in a name


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredVersion:
    """A version of a registered model."""

    name: str
    version: int
    run_id: str
    """The run that registered it."""

    model_id: str
    """MLflow's logged model, which has the files."""

    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """The address, such as ``models:/language-model/3``."""
        return f"{SCHEME}{self.name}/{self.version}"

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the checkpoint that was registered."""
        return self.tags.get("fingerprint", "")

    @property
    def directory(self) -> Path | None:
        """Where the checkpoint was written, if that was noted."""
        path = self.tags.get("path")
        return Path(from_home(path)) if path else None


def model_name(checkpoint: Artifact, prefix: str | None = None) -> str:
    """The registered name of a checkpoint's family.

    Args:
        checkpoint: The checkpoint.
        prefix: Precedes the name, for a project of its own.

    Raises:
        CheckpointError: If its description cannot be read.
    """
    description = read_description(checkpoint.directory)
    family = _FAMILIES.get(description.kind) or _classifier_name(description.labels or ())
    return f"{prefix}-{family}" if prefix else family


def _classifier_name(labels: tuple[str, ...]) -> str:
    """The name of the classifiers of these labels.

    Example:
        >>> _classifier_name(("spam", "ham"))
        'classifier-ham-spam'
    """
    plain = "-".join(re.sub(r"[^\w]+", "_", label) for label in sorted(labels))
    if len(plain) > _MAX_LABELS or len(set(plain.split("-"))) < len(labels):
        plain = f"{len(labels)}-labels-{fingerprint_of(sorted(labels))[:8]}"
    return f"{CLASSIFIER}-{plain}"


def register(
    name: str, checkpoint: Artifact, stage: str, run_id: str, model_id: str, commit: str
) -> RegisteredVersion:
    """Add a version to a name and make it the candidate.

    Args:
        name: The registered name, created if there is none.
        checkpoint: What is registered.
        stage: The stage that made it.
        run_id: The run that registers it.
        model_id: MLflow's logged model with its files.
        commit: The code's commit.
    """
    try:
        client().create_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    made = client().create_model_version(
        name,
        source=f"{SCHEME}{model_id}",
        run_id=run_id,
        model_id=model_id,
        tags=_version_tags(checkpoint, stage, commit),
    )
    client().set_registered_model_alias(name, CANDIDATE, made.version)
    return _describe(made)


def _version_tags(checkpoint: Artifact, stage: str, commit: str) -> dict[str, str]:
    manifest = checkpoint.manifest()
    data = [
        fingerprint
        for parent, fingerprint in manifest.parents.items()
        if not parent.startswith("checkpoint:")
    ]
    named = {metric_name(stage, name): value for name, value in manifest.metrics.items()}
    results = {name.removeprefix("result/"): named[name] for name in RESULTS if name in named}
    return {
        "fingerprint": checkpoint.fingerprint,
        "path": in_home(checkpoint.path),
        "stage": stage,
        **({"data": data[0]} if data else {}),
        **({"git.commit": commit} if commit else {}),
        **{name: f"{value:.6g}" for name, value in results.items()},
    }


def version_of(name: str, fingerprint: str) -> RegisteredVersion | None:
    """The version of a name that is a checkpoint of this fingerprint, or None."""
    found = [each for each in versions(name) if each.fingerprint == fingerprint]
    return max(found, key=lambda each: each.version, default=None)


def versions(name: str) -> list[RegisteredVersion]:
    """Every version of a name."""
    found, token = [], None
    while True:
        page = client().search_model_versions(f"name='{_escaped(name)}'", page_token=token)
        found += [_describe(each) for each in page]
        token = page.token
        if not token:
            return found


def find_version(name: str) -> RegisteredVersion:
    """The version that an address means.

    Args:
        name: ``models:/NAME`` for the newest, ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.

    Raises:
        DataError: If there is none.
    """
    rest = name.removeprefix(SCHEME)
    if not store_exists():
        raise DataError(f"there is no {name}: no model is registered in this home yet")
    try:
        if "@" in rest:
            model, alias = rest.rsplit("@", 1)
            return with_alias(model, alias) or _raise_missing(name, model)
        model, _, version = rest.partition("/")
        if version.isdecimal():
            return _describe(client().get_model_version(model, version))
    except MlflowException:
        _raise_missing(name, rest.partition("@")[0].partition("/")[0])
    if version and version != "latest":
        raise DataError(
            f"{name} must be models:/NAME, models:/NAME/VERSION or models:/NAME@ALIAS, with a "
            "number as version"
        )
    newest = max(versions(model), key=lambda each: each.version, default=None)
    return newest or _raise_missing(name, model)


def with_alias(name: str, alias: str) -> RegisteredVersion | None:
    """The version of a name that has an alias, or None."""
    try:
        return _describe(client().get_model_version_by_alias(name, alias))
    except MlflowException:
        if not any(name == each for each in registered_names()):
            raise
        return None


def registered_names() -> list[str]:
    """Every registered name."""
    found, token = [], None
    while True:
        page = client().search_registered_models(page_token=token)
        found += [str(model.name) for model in page]
        token = page.token
        if not token:
            return found


def _raise_missing(name: str, model: str) -> RegisteredVersion:
    """Say which of the parts of an address there is not."""
    known = registered_names()
    if model not in known:
        listed = f"there are {', '.join(known)}" if known else "none is registered yet"
        raise DataError(f"there is no registered model {model!r:.200}: {listed}")
    advice = f": make one with gptflow promote {model}" if name.endswith(f"@{CHAMPION}") else ""
    raise DataError(f"there is no {name}{advice}")


def _describe(version: ModelVersion) -> RegisteredVersion:
    return RegisteredVersion(
        name=str(version.name),
        version=int(version.version),
        run_id=str(version.run_id or ""),
        model_id=str(version.model_id or str(version.source).removeprefix(SCHEME)),
        tags=dict(version.tags),
    )


def _escaped(name: str) -> str:
    """A name in MLflow's query language, which has no escape for quotes."""
    return name.replace("'", "")
