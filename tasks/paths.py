"""Paths of everything the project reads and writes: the only file that knows its folders."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from gpt_core.errors import ConfigError

FOLDERS = {
    "raw": "raw",
    "documents": "corpora",
    "tokenizer": "tokenizers",
    "shards": "shards",
    "checkpoint": "checkpoints",
    "report": "reports",
    "release": "releases",
}
"""The folder below ``data/`` of each kind of artifact, in pipeline order."""

_KEY_DIGITS = 12
_SPECIAL = frozenset("%?#")  # in addresses


def project_root() -> Path:
    """``GPTFLOW_HOME``, or the checkout that this package is installed from."""
    home = os.environ.get("GPTFLOW_HOME")
    return Path(home).resolve() if home else checkout()


def checkout() -> Path:
    """The checkout that this package is installed from."""
    return Path(__file__).resolve().parents[1]


def data_dir() -> Path:
    """The artifacts, one folder for each kind."""
    return project_root() / "data"


def in_home(path: str) -> str:
    """A path as it is recorded, relative to the home if it is in there: homes are moved."""
    root = project_root()
    return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path


def from_home(path: str) -> str:
    """The path that a recorded one stands for.

    Args:
        path: Relative to the home, or absolute; one that a home had before it was moved is found
            by the folders of the artifacts.
    """
    found = project_root() / path
    parts = found.parts
    if "data" in parts and not found.exists():
        below = parts[len(parts) - parts[::-1].index("data") :]
        moved = data_dir().joinpath(*below)
        found = moved if moved.exists() else found
    return str(found)


def artifact_folders() -> list[Path]:
    """The folder of each kind of artifact."""
    return [data_dir() / name for name in FOLDERS.values()]


def made_folders() -> list[Path]:
    """The folders of what can be made again: raw text may be the only copy."""
    return [data_dir() / name for kind, name in FOLDERS.items() if kind != "raw"]


def comparison_plot(name: str) -> Path:
    """The plot of a comparison of runs, next to the reports."""
    return data_dir() / FOLDERS["report"] / f"compare-{name}.png"


def lineage_plot(fingerprint: str) -> Path:
    """The picture of an artifact's lineage, next to the reports."""
    return data_dir() / FOLDERS["report"] / f"lineage-{fingerprint[:_KEY_DIGITS]}.png"


def staged_model() -> Path:
    """The name before that of temporary copies of models, on the artifacts' file system."""
    return data_dir() / "model"


def downloaded_model(name: str, version: int, model_id: str) -> Path:
    """Where a registered model is downloaded to that was made elsewhere.

    Args:
        name: The registered name.
        version: The version.
        model_id: MLflow's name of the model, since two servers may have the same version.
    """
    return data_dir() / "models" / f"{name}-{version}-{model_id[-_KEY_DIGITS:]}"


def model_code(digest: str) -> Path:
    """The core's code, which logged models share.

    Args:
        digest: The hash of the code.
    """
    return data_dir() / "models" / f"gpt_core-{digest[:_KEY_DIGITS]}.zip"


def promotion_lock() -> Path:
    """The lock of the home's promotions, which are done one after the other."""
    return data_dir() / "running" / "promotion.lock"


def samples_dir() -> Path:
    """The texts, messages and instructions that come with the project."""
    return checkout() / "data" / "samples"


def raw_dir() -> Path:
    """Downloaded sources and releases."""
    return data_dir() / FOLDERS["raw"]


def judge_replies() -> Path:
    """The judge's replies, so that none is asked for twice."""
    return data_dir() / "judge" / "replies.sqlite"


def unsent_dir() -> Path:
    """Metrics that MLflow could not be sent yet."""
    return data_dir() / "unsent"


def unpublished_dir() -> Path:
    """Notes of artifacts that a shared store does not have yet."""
    return data_dir() / "unpublished"


def running_dir() -> Path:
    """Records and locks of the flows that are running or were killed."""
    return data_dir() / "running"


def artifacts_lock() -> Path:
    """Held while artifacts are taken from the cache or removed."""
    return running_dir() / "artifacts.lock"


def backups_dir() -> Path:
    """Copies of the databases."""
    return project_root() / "backups"


def running_file(flow: str, name: str) -> Path:
    """The record of a flow that is running or was killed; a restart resumes its MLflow run.

    Args:
        flow: The flow's name.
        name: The run's name.
    """
    return running_dir() / f"{flow}-{name}.json"


def sources_file() -> Path:
    """The list of public sources: the home's own, or the one that comes with the project."""
    own = data_dir() / "sources.toml"
    return own if own.is_file() else checkout() / "data" / "sources.toml"


def experiments_file() -> Path:
    """The experiment, model and alias names in MLflow."""
    return checkout() / "mlflow" / "experiments.toml"


def server_settings_file() -> Path:
    """The settings of an MLflow server that ``gptflow up`` starts."""
    return checkout() / "mlflow" / "server.env"


def tracking_dir() -> Path:
    """The embedded MLflow store."""
    return project_root() / "mlflow"


def tracking_database() -> Path:
    """The embedded MLflow store's database."""
    return tracking_dir() / "mlflow.db"


def tracking_store() -> str:
    """The embedded MLflow store's database, as an address."""
    return sqlite_address(tracking_database())


def sqlite_address(path: Path, driver: str = "sqlite") -> str:
    """The address of a SQLite database.

    A ``?`` would begin its options, and MLflow decodes ``%20``; SQLite itself decodes a file's
    address, so that such a path goes there encoded.

    Args:
        path: The database's file, absolute.
        driver: How SQLAlchemy opens it.

    Example:
        >>> sqlite_address(Path("/home/mlflow.db"))
        'sqlite:////home/mlflow.db'
        >>> sqlite_address(Path("/a?b/c.db"), "sqlite+aiosqlite")
        'sqlite+aiosqlite:///file:/a%3Fb/c.db?uri=true'
    """
    if _SPECIAL.isdisjoint(str(path)):
        return f"{driver}:///{path}"
    return f"{driver}:///file:{quote(str(path))}?uri=true"


def tracked_artifacts() -> str:
    """The folder of the embedded MLflow store's artifacts, as MLflow reads it."""
    folder = tracking_dir() / "artifacts"
    return str(folder) if _SPECIAL.isdisjoint(str(folder)) else folder.as_uri()


def prefect_dir() -> Path:
    """The embedded Prefect server's database, log and results."""
    return project_root() / ".prefect"


def prefect_database() -> Path:
    """The embedded Prefect server's database."""
    return Path(os.environ.get("PREFECT_HOME") or prefect_dir()).resolve() / "prefect.db"


def expand_path(name: str) -> Path:
    """A path that the user gives, with ``~`` replaced by a home folder.

    Raises:
        ConfigError: If there is no such home folder.
    """
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{name!r:.200}: {error}") from error


def artifact_dir(kind: str, name: str, key: str) -> Path:
    """The directory of an artifact, such as ``data/shards/tiny-0123456789ab``.

    Args:
        kind: One of ``FOLDERS``.
        name: The run or the source it belongs to.
        key: The hash of everything that determines its content.
    """
    return data_dir() / FOLDERS[kind] / f"{name}-{key[:_KEY_DIGITS]}"


def newest_checkpoint(accepts: Callable[[Path], bool] = Path.is_dir) -> Path | None:
    """The most recently finished checkpoint, or None.

    Args:
        accepts: Whether a checkpoint's directory is of the kind that is sought.
    """
    manifests = (data_dir() / "checkpoints").glob("**/manifest.json")
    visible = [m for m in manifests if not any(p.startswith(".") for p in m.parts[-4:])]
    newest_first = sorted(visible, key=lambda manifest: manifest.stat().st_mtime, reverse=True)
    return next((each.parent for each in newest_first if accepts(each.parent)), None)
