import csv
from pathlib import Path

import pytest
import torch

from gpt_core.config import GPTConfig
from gpt_core.interop.gpt2_names import tensor_names
from gpt_core.models import GPT

SMALL = {"n_layer": 3, "n_head": 2, "n_embd": 8, "vocab_size": 11, "context_length": 6}


@pytest.mark.parametrize("tied", [True, False])
def test_the_table_names_each_parameter_once(tied: bool) -> None:
    config = GPTConfig(**SMALL, tied_head=tied)
    names = tensor_names(config)
    parameters = dict(GPT(config).named_parameters())
    assert sorted(name.ours for name in names) == sorted(parameters)
    assert len({name.huggingface for name in names}) == len(names)
    assert all("{" not in name.ours + name.huggingface + name.tensorflow for name in names)


def test_just_the_weights_of_linear_layers_are_transposed() -> None:
    for name in tensor_names(GPTConfig(**SMALL)):
        assert name.transposed is (".c_" in name.ours and name.ours.endswith("weight"))


def test_the_table_is_that_of_the_released_checkpoint(shared_data: Path) -> None:
    with (shared_data / "gpt2" / "124M_tensor_table.tsv").open(encoding="utf-8") as file:
        rows = {row["tf_name"]: row for row in csv.DictReader(file, delimiter="\t")}
    config = GPTConfig(vocab_size=50_257)
    with torch.device("meta"):
        parameters = dict(GPT(config).named_parameters())
    names = tensor_names(config)
    assert {name.tensorflow for name in names} == set(rows)
    for name in names:
        shape = parameters[name.ours].shape
        expected = [1, *reversed(shape)] if name.transposed else list(shape)
        assert rows[name.tensorflow]["shape"] == "x".join(map(str, expected)), name.tensorflow
