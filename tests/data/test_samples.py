"""The samples are what their script makes, and give every stage something to do."""

import importlib.util
import json
from pathlib import Path


def test_the_committed_samples_are_what_the_script_makes(
    project_root: Path, tmp_path: Path
) -> None:
    folder = project_root / "data" / "samples"
    spec = importlib.util.spec_from_file_location("make_samples", folder / "make_samples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_all(tmp_path)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(made) == 5
    for name in made:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_the_samples_have_the_sizes_that_they_are_described_by(project_root: Path) -> None:
    folder = project_root / "data" / "samples"
    for name in ("arabic.txt", "english.txt"):
        assert 290_000 < (folder / "text" / name).stat().st_size < 310_000
    rows = (folder / "messages.tsv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 801
    assert {row.split("\t")[0] for row in rows[1:]} == {"spam", "ham"}
    assert len(json.loads((folder / "instructions.json").read_text(encoding="utf-8"))) == 1_600
