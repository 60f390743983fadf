"""Where things lie: the only file that knows the project's folders."""

import os
from pathlib import Path

_ROOMS = {
    "fetch_corpus": "raw",
    "fetch_gpt2": "raw",
    "clean_corpus": "corpora",
    "train_tokenizer": "tokenizers",
    "encode_corpus": "shards",
    "pretrain": "checkpoints",
    "import_gpt2": "checkpoints",
    "finetune_classifier": "checkpoints",
    "finetune_instructions": "checkpoints",
    "evaluate_language_model": "reports",
    "measure_tokenizer": "reports",
    "compare_tokenizers": "reports",
    "run_benchmarks": "reports",
    "compare_models": "reports",
    "export_huggingface": "releases",
}
_KEY_DIGITS = 12


def project_root() -> Path:
    """``GPTFLOW_HOME``, or the checkout that this package is installed from."""
    home = os.environ.get("GPTFLOW_HOME")
    return Path(home).resolve() if home else checkout()


def checkout() -> Path:
    """The checkout that this package is installed from."""
    return Path(__file__).resolve().parents[1]


def data_dir() -> Path:
    """Where artifacts lie, one folder for each kind in the order of the data's way."""
    return project_root() / "data"


def samples_dir() -> Path:
    """The texts, messages and instructions that come with the project."""
    return checkout() / "data" / "samples"


def sources_file() -> Path:
    """The list of public sources: the home's own, or the one that comes with the project."""
    own = data_dir() / "sources.toml"
    return own if own.is_file() else checkout() / "data" / "sources.toml"


def experiments_file() -> Path:
    """The names that MLflow shows."""
    return checkout() / "mlflow" / "experiments.toml"


def server_settings_file() -> Path:
    """The settings of an MLflow server that a run starts."""
    return checkout() / "mlflow" / "server.env"


def tracking_dir() -> Path:
    """Where the embedded MLflow store lies."""
    return project_root() / "mlflow"


def prefect_dir() -> Path:
    """Where the embedded Prefect server keeps its database, log and results."""
    return project_root() / ".prefect"


def stage_dir(stage: str, name: str, key: str) -> Path:
    """The directory of a stage's result, such as ``data/shards/tiny-0123456789ab``."""
    return data_dir() / _ROOMS[stage] / f"{name}-{key[:_KEY_DIGITS]}"


def newest_checkpoint() -> Path | None:
    """The checkpoint that was finished last, or None."""
    manifests = (data_dir() / "checkpoints").glob("**/manifest.json")
    visible = [m for m in manifests if not any(p.startswith(".") for p in m.parts[-4:])]
    newest = max(visible, key=lambda manifest: manifest.stat().st_mtime, default=None)
    return newest.parent if newest else None
