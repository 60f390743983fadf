"""Files of ``torch.save``: tensors are read; what asks for more than the file has is refused."""

import resource
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gpt_core.errors import CheckpointError
from gpt_core.models import load_pickled

GIB = (1 << 30).to_bytes(4, "little")
HEAD, CALL = b"\x80\x02", b"(J" + GIB + b"tR."


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """Two gigabytes on top of what the process has; the forged files ask for more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 31), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def forge(file: Path, pickled: bytes) -> Path:
    """A file of ``torch.save`` with another pickle in it."""
    torch.save({"a": torch.ones(4)}, file.with_suffix(".real"))
    with zipfile.ZipFile(file.with_suffix(".real")) as real, zipfile.ZipFile(file, "w") as forged:
        for name in real.namelist():
            forged.writestr(name, pickled if name.endswith("data.pkl") else real.read(name))
    return file


def load(file: Path) -> object:
    return load_pickled(file, "weights", "cpu", mapped=False)


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_and_plain_values_are_read(tmp_path: Path, zipped: bool) -> None:
    tied = torch.ones(5, 2)
    content = OrderedDict(
        a=tied, b=tied, c=torch.nn.Parameter(torch.ones(2)), d=torch.ones(3, dtype=torch.bfloat16),
        e=[1, 2.5, None, "a", True, (2**63, -1), {"x": torch.Size([1])}], f=torch.get_rng_state(),
    )  # fmt: skip
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    if not zipped:
        content["e"].pop()  # a number beyond the file's size is none of a tensor
        content["e"][-1] = 7
        torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    found = load(tmp_path / "a.pt")
    assert isinstance(found, OrderedDict)
    assert found.keys() == content.keys()
    assert torch.equal(found["a"], tied)
    assert found["e"] == content["e"]


@pytest.mark.parametrize(
    "name",
    [b"cbuiltins\nbytearray\n", b"ctorch\nTensor\n", b"ctorch.storage\nUntypedStorage\n",
     b"ctorch\nUntypedStorage\n", b"c_codecs\nencode\n", b"cbuiltins\nset\n", b"cos\nsystem\n"],
)  # fmt: skip
def test_a_call_that_makes_no_tensor_of_the_file_is_refused(tmp_path: Path, name: bytes) -> None:
    forge(tmp_path / "a.pt", HEAD + name + CALL)
    with pytest.raises(CheckpointError, match="holds more than tensors") as raised:
        load(tmp_path / "a.pt")
    assert str(raised.value).isprintable()


def test_a_storage_of_more_numbers_than_the_file_has_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(4)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "a.pt").read_bytes()
    assert b"K\x04" in content
    (tmp_path / "a.pt").write_bytes(content.replace(b"K\x04", b"J" + GIB))
    with pytest.raises(CheckpointError, match="asks for 1,073,741,824 numbers"):
        load(tmp_path / "a.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_tensor_that_repeats_its_numbers_is_refused(tmp_path: Path, zipped: bool) -> None:
    huge = torch.ones(1).expand(1000, 1000)
    torch.save({"a": [huge]}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        CheckpointError, match=r"its tensors have 4,000,000 bytes|asks for 1,000 numbers"
    ):
        load(tmp_path / "a.pt")
