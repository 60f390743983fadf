"""Weights of a release: one file, shards with an index, or a pickle of nothing but tensors."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpt_core.errors import ConversionError
from gpt_core.files import write_json
from gpt_core.interop import import_gpt2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"wte.weight": [1.0]}), "model.safetensors is a pickle"),
        (b"PK\x03\x04" + b"\x00" * 40, "model.safetensors is a pickle"),
        (b"", "model.safetensors cannot be read as safetensors"),
        (b"\xff" * 40, "model.safetensors cannot be read as safetensors"),
    ],
)
def test_weights_that_are_not_safetensors_are_refused(
    release: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    (release / "model.safetensors").write_bytes(content)
    with pytest.raises(ConversionError, match=message):
        import_gpt2(release, tmp_path / "out")


def test_weights_cut_short_are_refused(release: Path, tmp_path: Path) -> None:
    file = release / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ConversionError, match="cannot be read as safetensors"):
        import_gpt2(release, tmp_path / "out")


def in_shards(release: Path) -> None:
    """The weights in two files with an index, in Hugging Face's form."""
    tensors = load_file(release / "model.safetensors")
    (release / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"first.safetensors": names[::2], "second.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, release / file)
    weight_map = {name: file for file, part in parts.items() for name in part}
    write_json(release / "model.safetensors.index.json", {"weight_map": weight_map})


def test_weights_in_shards_are_the_same_weights(release: Path, tmp_path: Path) -> None:
    whole = import_gpt2(release, tmp_path / "whole")
    in_shards(release)
    parts = import_gpt2(release, tmp_path / "parts")
    files = [made.directory / "model.safetensors" for made in (whole, parts)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("third.safetensors", "names third.safetensors, which is not there"),
        ("../model.safetensors", "names '../model.safetensors', which is no file beside it"),
        (3, "names 3, which is no file beside it"),
    ],
)
def test_an_index_of_anything_but_files_beside_it_is_refused(
    release: Path, tmp_path: Path, place: str | int, message: str
) -> None:
    (release / "model.safetensors").unlink()
    index = release / "model.safetensors.index.json"
    write_json(index, {"weight_map": {"wte.weight": place}})
    with pytest.raises(ConversionError, match=message):
        import_gpt2(release, tmp_path / "out")


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": []}', '{"weight_map": {}}'])
def test_an_index_without_shards_is_refused(release: Path, tmp_path: Path, content: str) -> None:
    (release / "model.safetensors").unlink()
    (release / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ConversionError, match=r"index\.json (is no index|names no file)"):
        import_gpt2(release, tmp_path / "out")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_tensors_in_a_pickle_are_read_with_a_warning(
    release: Path, tmp_path: Path, zipped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    expected = import_gpt2(release, tmp_path / "safe")
    tensors = load_file(release / "model.safetensors")
    (release / "model.safetensors").unlink()
    file = release / "pytorch_model.bin"
    torch.save(tensors, file, _use_new_zipfile_serialization=zipped)
    made = import_gpt2(release, tmp_path / "pickled")
    files = [each.directory / "model.safetensors" for each in (expected, made)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert "nothing but its tensors is read" in caplog.text


class Opened:
    """Records that a pickle ran code when it was opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda trace: {"wte.weight": Opened(trace)}, "holds more than tensors"),
        (lambda trace: [torch.ones(2)], "does not hold tensors by name"),
        (lambda trace: {"a": 3}, "does not hold tensors by name"),
    ],
)
def test_a_pickle_of_anything_else_is_refused_and_runs_nothing(
    release: Path, tmp_path: Path, content: Callable[[Path], object], message: str
) -> None:
    (release / "model.safetensors").unlink()
    torch.save(content(tmp_path / "trace"), release / "pytorch_model.bin")
    with pytest.raises(ConversionError, match=message):
        import_gpt2(release, tmp_path / "out")
    assert not (tmp_path / "trace").exists()


def test_a_release_without_weights_says_what_should_be_there(release: Path, tmp_path: Path) -> None:
    (release / "model.safetensors").unlink()
    with pytest.raises(ConversionError, match=r"has no weights: model\.safetensors or"):
        import_gpt2(release, tmp_path / "out")
