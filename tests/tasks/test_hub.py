"""Which release on a model hub a configuration names, and where its files go."""

from pathlib import Path

import pytest

from gpt_core.config import GPT2ImportConfig
from gpt_core.errors import ConfigError
from tasks.hub import HubRelease, release_of

COMMIT = "c" * 40
SMALL = HubRelease("someone/small", COMMIT)


@pytest.mark.parametrize("revision", ["../../../elsewhere", "refs/pr/1", "..", COMMIT])
def test_no_name_of_a_revision_leads_out_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path))
    folder = HubRelease("someone/small", revision).folder
    assert folder.resolve().parent == SMALL.folder.resolve().parent
    assert (folder == SMALL.folder) is (revision == COMMIT)


@pytest.mark.parametrize(
    ("config", "repository"),
    [
        (GPT2ImportConfig(size="124M"), "openai-community/gpt2"),
        (GPT2ImportConfig(size="1558M", source="elsewhere"), "openai-community/gpt2-xl"),
        (GPT2ImportConfig(source="hub:a/b.c"), "a/b.c"),
    ],
)
def test_sizes_and_names_resolve_to_a_repository(config: GPT2ImportConfig, repository: str) -> None:
    release = release_of(config)
    assert release is not None
    assert release.repository == repository


def test_a_directory_is_no_release_and_a_malformed_name_is_refused() -> None:
    assert release_of(GPT2ImportConfig(source="some/folder")) is None
    with pytest.raises(ConfigError, match="must be hub:OWNER/NAME"):
        release_of(GPT2ImportConfig(source="hub:nothing"))
