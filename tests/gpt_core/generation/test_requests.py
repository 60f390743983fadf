from dataclasses import FrozenInstanceError

import pytest

from gpt_core.config import DecodingConfig
from gpt_core.generation import Request, Update


def test_a_request_samples_by_default_as_the_settings_do() -> None:
    request, settings = Request(prompt=(1,), max_new_tokens=1), DecodingConfig()
    for name in ("temperature", "top_k", "top_p", "seed"):
        assert getattr(request, name) == getattr(settings, name)


def test_requests_and_updates_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Request(prompt=(1,), max_new_tokens=1).seed = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Update(1).finish = "stop"  # type: ignore[misc]
