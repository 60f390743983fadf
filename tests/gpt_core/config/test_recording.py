"""Where runs are recorded is a setting that no stage's key depends on."""

import pytest

from gpt_core.config import RegistryConfig, TrackingConfig, load_config
from gpt_core.errors import ConfigError


def test_names_are_checked() -> None:
    config = load_config(settings=["tracking.experiment=my project", "registry.name=poems-1.0"])
    assert config.tracking.experiment == "my project"
    assert config.registry == RegistryConfig(name="poems-1.0", promote=False)
    for wrong in ("registry.name=a/b", "registry.name=a:b", "registry.name=", "registry.name=-x"):
        with pytest.raises(ConfigError, match=r"registry\.name must"):
            load_config(settings=[wrong])
    with pytest.raises(ConfigError, match="experiment must be a name of at most 200 characters"):
        TrackingConfig(experiment="x" * 201)


def test_they_are_no_part_of_what_pretraining_depends_on() -> None:
    settings = ["tracking.experiment=other", "registry.name=other", "registry.promote=true"]
    assert load_config(settings=settings).pretrain == load_config().pretrain
