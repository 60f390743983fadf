"""The spectrum of an adapter against the singular values of the whole update."""

from pathlib import Path

import pytest
import torch

from gpt_core.anatomy import low_rank_updates
from gpt_core.models import Adapter


@pytest.mark.parametrize("rs", [False, True])
def test_singular_values_are_those_of_the_whole_update(rs: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    a = torch.randn(4, 12, generator=generator)
    b = torch.randn(20, 4, generator=generator)
    name = "base_model.model.transformer.h.1.attn.c_attn.lora_{}.weight"
    adapter = Adapter(
        Path(),
        {"r": 4, "lora_alpha": 16, "use_rslora": rs},
        {name.format("A"): a, name.format("B"): b},
        None,
    )
    (update,) = low_rank_updates(adapter)
    whole = b.double() @ a.double() * (16 / 2 if rs else 16 / 4)
    expected = torch.linalg.svdvals(whole)[:4]
    torch.testing.assert_close(torch.tensor(update.singular_values).double(), expected)
    assert update.norm == pytest.approx(float(whole.norm()))
    assert (update.layer, update.shape, update.rank) == ("h.1.attn.c_attn", (20, 12), 4)
    assert update.n_parameters == a.numel() + b.numel()
