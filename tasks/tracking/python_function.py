"""Give a logged checkpoint MLflow's ``python_function`` flavour: models from code, no pickle.

The model has, as well as the checkpoint's files, ``MLmodel``, the code that loads them
(``gpt_model.py``), the environment's requirements, an example of an input, and the core's code as a
zip.
"""

import hashlib
import importlib.metadata
import shutil
import tempfile
import warnings
import zipfile
from functools import cache
from pathlib import Path

from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

import gpt_core
from gpt_core.checkpoints import CheckpointDescription, read_description
from gpt_core.config import DecodingConfig
from gpt_core.durable import make_directory, sync_file
from gpt_core.files import atomic_write
from tasks.paths import model_code
from tasks.tracking.links import link_or_copy

MODEL_CODE = "gpt_model.py"

_FLAVOR = "python_function"
_NEEDED = (
    "filelock", "mlflow", "numpy", "pandas", "pyarrow", "regex", "safetensors", "sentencepiece",
    "tiktoken", "torch", "tqdm", "typing_extensions",
)  # fmt: skip
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # of a file in a zip


def add_python_function(directory: Path, run_id: str, model_id: str) -> None:
    """Write what MLflow needs to load and serve a checkpoint.

    Args:
        directory: A copy of the checkpoint, which becomes the model's files.
        run_id: The run that logs it.
        model_id: MLflow's name of the model.

    Raises:
        CheckpointError: If the checkpoint's description cannot be read.
    """
    description = read_description(directory)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow about its own types, as it imports them
        from mlflow.pyfunc import save_model

        from tasks.tracking.python_model import CHECKPOINT, CODE
        from tasks.tracking.python_model import __file__ as code
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model"
        model = Model(run_id=run_id, model_id=model_id)
        save_model(
            str(saved),
            mlflow_model=model,
            python_model=str(shutil.copyfile(str(code), Path(folder) / MODEL_CODE)),
            signature=signature_of(description),
            pip_requirements=requirements(),
            input_example=example_of(description),
        )
        _point_to_checkpoint(saved, CHECKPOINT)
        for file in (path for path in saved.iterdir() if path.is_file()):
            shutil.copyfile(file, directory / file.name)
            sync_file(directory / file.name)
    link_or_copy(core_code(), directory / CODE)


def _point_to_checkpoint(saved: Path, name: str) -> None:
    """Name the model's own folder as the checkpoint, and no path of this machine."""
    model = Model.load(str(saved))
    flavor = model.flavors[_FLAVOR]
    flavor["artifacts"] = {name: {"path": ".", "uri": "."}}
    flavor["model_code_path"] = MODEL_CODE
    model.save(str(saved / "MLmodel"))


def signature_of(description: CheckpointDescription) -> ModelSignature:
    """Inputs and outputs of a model, with the parameters of one that writes.

    The input of a follower is left open, because MLflow would refuse a list of texts for columns
    with names and drop ``input`` from columns without.
    """
    text = Schema([ColSpec("string")])
    if description.labels is not None:
        names = [f"probability_{label}" for label in description.labels]
        numbers = [ColSpec("float", name) for name in ("probability", *names)]
        return ModelSignature(text, Schema([ColSpec("string", "predicted"), *numbers]))
    inputs = text if description.template is None else None
    return ModelSignature(inputs, text, ParamSchema(_params()))


def _params() -> list[ParamSpec]:
    """The parameters of a model that writes, with the defaults of ``gptflow generate``."""
    default = DecodingConfig()
    return [
        ParamSpec("max_tokens", "long", default.max_new_tokens),
        ParamSpec("temperature", "double", default.temperature),
        ParamSpec("top_k", "long", default.top_k),
        ParamSpec("top_p", "double", default.top_p),
        ParamSpec("seed", "long", default.seed),
    ]


def example_of(description: CheckpointDescription) -> list[str] | list[dict[str, str]]:
    """An example of an input, which is not computed when the model is logged."""
    if description.labels is not None:
        return ["A text to classify."]
    if description.template is not None:
        return [{"instruction": "Repeat the word.", "input": "lamp"}]
    return ["Once upon a time"]


@cache
def requirements() -> list[str]:
    """The packages that the model needs, in the versions of this environment.

    The build of a version for one kind of device, such as ``+cpu``, is not part of it: registries
    do not have it.
    """
    versions = {name: importlib.metadata.version(name) for name in _NEEDED}
    return [f"{name}=={version.partition('+')[0]}" for name, version in versions.items()]


def core_code() -> Path:
    """The core's code as a zip that Python imports from; the same code is the same file."""
    package = Path(str(gpt_core.__file__)).parent
    files = sorted(package.rglob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    target = model_code(digest.hexdigest())
    if not target.is_file():
        make_directory(target.parent)
        with atomic_write(target) as out, zipfile.ZipFile(out, "w") as archive:
            for file in files:
                name = Path("gpt_core", file.relative_to(package)).as_posix()
                entry = zipfile.ZipInfo(name, _EARLIEST)
                archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return target
