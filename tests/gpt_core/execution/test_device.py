"""Devices are chosen by name, and a missing one is refused."""

import pytest
import torch

from gpt_core.errors import ConfigError
from gpt_core.execution import resolve_device


def test_auto_prefers_cuda_then_mps_then_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"cuda": True, "mps": True}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: found["mps"])
    assert resolve_device("auto").type == "cuda"
    found["cuda"] = False
    assert resolve_device("auto").type == "mps"
    found["mps"] = False
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(ConfigError, match="no cuda device: set device=auto or device=cpu"):
        resolve_device("cuda")
    assert resolve_device("cpu").type == "cpu"
