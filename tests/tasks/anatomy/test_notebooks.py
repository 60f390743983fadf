"""Notebooks hold the page's prose and cells, and every cell runs."""

from pathlib import Path

import nbclient
import nbformat
import pytest
from anatomy_models import ENGLISH, small_bpe, write_model

from gpt_core.config import CleaningConfig
from tasks.anatomy import CHAPTERS, write_notebooks

SHORT = ("tokens", "stream")
OF_KINDS = ("classification", "instruction", "low_rank")
PLAIN = CleaningConfig()


def run_notebooks(folder: Path, names: tuple[str, ...], **options: object) -> dict[str, str]:
    """Run notebooks of a model with some options of ``write_model``; returns what each printed.

    Raises:
        CellExecutionError: If a cell fails.
    """
    checkpoint = write_model(folder / "model", tokenizer=small_bpe(), **options)  # type: ignore[arg-type]
    printed = {}
    for path in write_notebooks(checkpoint, ENGLISH, PLAIN, list(names), str(folder / "books")):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        said = [output["text"] for output in outputs if output.get("name") == "stdout"]
        printed[path.stem] = "".join(said)
    return printed


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_two_chapters_run_and_print_what_the_model_computes(tmp_path: Path) -> None:
    printed = run_notebooks(tmp_path, SHORT)
    assert "def merge_pair" in printed["01-tokens"]
    assert "U+0049" in printed["01-tokens"]
    lines = dict(line.split(maxsplit=1) for line in printed["02-stream"].splitlines()[-2:])
    assert float(lines["sum"]) == pytest.approx(float(lines["model"]), abs=1e-4)


@pytest.mark.long
@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_every_chapter_of_a_language_model_runs(tmp_path: Path) -> None:
    names = tuple(each.name for each in CHAPTERS if each.name not in (*SHORT, *OF_KINDS))
    assert len(run_notebooks(tmp_path, names)) == len(names)


@pytest.mark.long
@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("name", "options", "shown"),
    [
        ("classification", {"kind": "classifier", "labels": ("calm", "storm")}, "'storm'"),
        (
            "instruction",
            {"kind": "instruction", "template": "short", "context_length": 96},
            "masked",
        ),
        ("low_rank", {"rank": 4}, "h.0.attn.c_attn"),
    ],
)
def test_the_chapter_of_each_kind_of_fine_tune_runs(
    tmp_path: Path, name: str, options: dict[str, object], shown: str
) -> None:
    printed = run_notebooks(tmp_path, (name,), **options)
    assert shown in printed[f"01-{name.replace('_', '-')}"]


def test_writing_again_gives_the_same_files(tmp_path: Path) -> None:
    checkpoint = write_model(tmp_path / "model")
    first = write_notebooks(checkpoint, "a", PLAIN, list(SHORT), str(tmp_path / "books"))
    before = [path.read_bytes() for path in first]
    again = write_notebooks(checkpoint, "a", PLAIN, list(SHORT), str(tmp_path / "books"))
    assert [path.read_bytes() for path in again] == before
    other = CleaningConfig(collapse_whitespace=False)
    (path, _) = write_notebooks(checkpoint, "a", other, list(SHORT), str(tmp_path / "books"))
    assert "collapse_whitespace=False" in path.read_text(encoding="utf-8")
